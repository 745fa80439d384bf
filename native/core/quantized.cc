#include "core/quantized.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace heddle {
namespace {

constexpr int kLargestMultiplier = 15;

/// To the nearest, of two to the even one: |x| < 2^22.
inline float nearest(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23: its last bit counts ones
  return (x + kMagic) - kMagic;
}

/// q of x = step · q, within [-8, 7].
inline float int4_of(float x, float inverse) { return std::clamp(nearest(x * inverse), -8.0f, 7.0f); }

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

/// Of a group in units of the row's scale, with a multiplier m.
float squared_error(const float* units, int m) {
  const float step = static_cast<float>(m), inverse = 1 / step;
  float sum = 0;
  for (int64_t i = 0; i < kGroup; ++i) {
    const float error = units[i] - step * int4_of(units[i], inverse);
    sum += error * error;
  }
  return sum;
}

/// What multiplies a group: its element of largest magnitude becomes about -8.
int multiplier_of(const float* units) {
  float extreme = 0;
  for (int64_t i = 0; i < kGroup; ++i) {
    if (std::fabs(units[i]) > std::fabs(extreme)) extreme = units[i];
  }
  if (extreme == 0) return 0;
  const int sign = extreme < 0 ? 1 : -1;
  const int wanted = static_cast<int>(nearest(std::fabs(extreme) / 8));
  int best = 0;
  float least = std::numeric_limits<float>::infinity();
  for (int m = std::max(1, wanted - 1); m <= std::min(kLargestMultiplier, wanted + 1); ++m) {
    const float error = squared_error(units, sign * m);
    if (error < least) {
      least = error;
      best = sign * m;
    }
  }
  return best;
}

void quantize_to_int8(const float* row, int64_t k, float inverse, uint8_t* lane) {
  for (int64_t i = 0; i < k; ++i) {
    const auto q = static_cast<int8_t>(nearest(row[i] * inverse));
    lane[i / 4 * 4 * kPanelWidth + i % 4] = static_cast<uint8_t>(q);
  }
}

/// `at` is the panel's first group; `lane` the output's place in it.
void quantize_to_int4(const float* row, int64_t k, float inverse, uint8_t* at, int64_t lane) {
  for (int64_t first = 0; first < k; first += kGroup, at += kInt4GroupBytes) {
    float units[kGroup] = {};
    for (int64_t i = 0; i < std::min(kGroup, k - first); ++i) units[i] = row[first + i] * inverse;
    const int m = multiplier_of(units);
    at[lane] = static_cast<uint8_t>(static_cast<int8_t>(m));
    const float step = m == 0 ? 0 : 1 / static_cast<float>(m);
    for (int64_t i = 0; i < kGroup; ++i) {
      const int q = static_cast<int>(int4_of(units[i], step)) + 8;
      uint8_t& byte = at[kPanelWidth + i / 8 * 4 * kPanelWidth + lane * 4 + i % 4];
      byte = static_cast<uint8_t>(byte | q << (i % 8 < 4 ? 0 : 4));
    }
  }
}

}  // namespace

void quantize_row(DType dtype, const float* row, int64_t k, int64_t n, uint8_t* panels) {
  uint8_t* const panel = panels + n / kPanelWidth * panel_bytes(dtype, k);
  const int64_t lane = n % kPanelWidth;
  // Smaller than this, its inverse would not be finite: such a row is zero.
  constexpr float kLeast = 1e-36f;
  const float largest = largest_magnitude(row, k);
  const float steps = dtype == DType::kInt8 ? 127.0f : 8.0f * kLargestMultiplier;
  float scale = largest < kLeast ? 0.0f : largest / steps;
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
  for (int64_t i = 0; i < k; ++i) {
    int whole;
    if (dtype == DType::kInt8) {
      whole = static_cast<int8_t>(values[(i / 4 * kPanelWidth + lane) * 4 + i % 4]);
    } else {
      const uint8_t* const group = values + i / kGroup * kInt4GroupBytes;
      const uint8_t byte = group[kPanelWidth + (i % kGroup / 8 * kPanelWidth + lane) * 4 + i % 4];
      whole = static_cast<int8_t>(group[lane]) * ((i % 8 < 4 ? byte & 15 : byte >> 4) - 8);
    }
    row[i] = scale * static_cast<float>(whole);
  }
}

}  // namespace heddle
