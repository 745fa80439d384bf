#include "core/quantized.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/quantize_numbers.h"

namespace heddle {
namespace {

float largest_magnitude(const float* x, int64_t count) {
  float largest = 0;
  for (int64_t i = 0; i < count; ++i) largest = std::max(largest, std::fabs(x[i]));
  return largest;
}

bool is_finite(const float* x, int64_t count) {
  float zero = 0;
  for (int64_t i = 0; i < count; ++i) zero += x[i] * 0;
  return zero == 0;
}

void quantize_to_int8(const float* row, int64_t k, float inverse, uint8_t* lane) {
  for (int64_t i = 0; i < k; i += 4, lane += 4 * kPanelWidth) {
    float four[4] = {};
    std::copy_n(row + i, std::min<int64_t>(4, k - i), four);
    const uint32_t word = int8_word(four, inverse);
    std::memcpy(lane, &word, sizeof word);
  }
}

/// `at` is the panel's first group; `lane` the output's place in it.
void quantize_to_int4(const float* row, int64_t k, float inverse, uint8_t* at, int64_t lane) {
  for (int64_t first = 0; first < k; first += kGroup, at += kInt4GroupBytes) {
    float units[kGroup] = {};
    for (int64_t i = 0; i < std::min(kGroup, k - first); ++i) units[i] = row[first + i] * inverse;
    uint32_t words[kGroup / 8];
    at[lane] = static_cast<uint8_t>(static_cast<int8_t>(quantize_group(units, words)));
    for (int64_t w = 0; w < kGroup / 8; ++w) {
      std::memcpy(at + kPanelWidth + (w * kPanelWidth + lane) * 4, words + w, sizeof words[w]);
    }
  }
}

}  // namespace

void quantize_row(DType dtype, const float* row, int64_t k, int64_t n, uint8_t* panels) {
  uint8_t* const panel = panels + n / kPanelWidth * panel_bytes(dtype, k);
  const int64_t lane = n % kPanelWidth;
  float scale = scale_of_weight(dtype, largest_magnitude(row, k));
  if (!is_finite(row, k)) scale = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(panel + lane * 4, &scale, sizeof scale);
  if (!(scale > 0)) return;
  uint8_t* const values = panel + kScaleBytes;
  if (dtype == DType::kInt4) return quantize_to_int4(row, k, 1 / scale, values, lane);
  quantize_to_int8(row, k, 1 / scale, values + lane * 4);
}

void dequantize_row(DType dtype, const uint8_t* panels, int64_t k, int64_t n, float* row) {
  const uint8_t* const panel = panels + n / kPanelWidth * panel_bytes(dtype, k);
  const int64_t lane = n % kPanelWidth;
  float scale;
  std::memcpy(&scale, panel + lane * 4, sizeof scale);
  const uint8_t* const values = panel + kScaleBytes;
  for (int64_t i = 0; i < k; ++i) row[i] = scale * static_cast<float>(whole_weight(dtype, values, lane, i));
}

}  // namespace heddle
