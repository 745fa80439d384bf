#include <cstdlib>
#include <limits>
#include <vector>

#include "amx/check.h"
#include "core/quantized.h"
#include "cpu/integer_product.h"

// TDPBSSD against numbers worked out by hand, and the product of quantized weights against their layout
// (core/quantized.h) read once more, number by number.

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr int32_t kMost = std::numeric_limits<int32_t>::max(), kLeast = std::numeric_limits<int32_t>::min();

/// One element: c + Σ x[k] · y[k], at row 3 and column 5 of tiles that hold other numbers elsewhere. Those of other
/// rows and columns have sums of their own.
int32_t multiply(int32_t c, const std::vector<int>& x, const std::vector<int>& y) {
  constexpr int kRow = 3, kColumn = 5;
  int8_t a[16][64], b[16][64];
  int32_t sums[16][16];
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 64; ++j) a[i][j] = static_cast<int8_t>(i - j), b[i][j] = static_cast<int8_t>(2 * i - 3 * j);
    for (int j = 0; j < 16; ++j) sums[i][j] = i * j;
  }
  for (size_t k = 0; k < 64; ++k) {
    a[kRow][k] = static_cast<int8_t>(k < x.size() ? x[k] : 0);
    b[k / 4][4 * kColumn + k % 4] = static_cast<int8_t>(k < y.size() ? y[k] : 0);
  }
  sums[kRow][kColumn] = c;
  {
    const TileScope scope;
    tileloadd<7>(sums, 64);
    tileloadd<0>(a, 64);
    tileloadd<5>(b, 64);
    tdpbssd<7, 0, 5>();
    tilestored<7>(sums, 64);
  }
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 16; ++j) {
      if (i == kRow && j == kColumn) continue;
      int32_t expected = i * j;
      for (int k = 0; k < 64; ++k) expected += a[i][k] * b[k / 4][4 * j + k % 4];
      expect_equal("beside it", sums[i][j], expected);
    }
  }
  return sums[kRow][kColumn];
}

/// x at place k, 0 before it.
std::vector<int> at(size_t k, int x) {
  std::vector<int> all(k + 1, 0);
  all[k] = x;
  return all;
}

void instruction() {
  const auto expect = [](const char* name, int32_t c, const std::vector<int>& x, const std::vector<int>& y,
                         int32_t expected) { expect_equal(name, multiply(c, x, y), expected); };
  for (int k = 0; k < 64; ++k) {
    const auto place = static_cast<size_t>(k);
    expect_equal("place " + std::to_string(k), multiply(1, at(place, -3), at(place, k)), 1 - 3 * k);
  }
  // Both have signs.
  expect("-1 · 1", 0, {-1}, {1}, -1);
  expect("1 · -1", 0, {1}, {-1}, -1);
  expect("-1 · -1", 0, {-1}, {-1}, 1);
  expect("-128 · 127", 0, {-128}, {127}, -16256);
  expect("-128 · -128", 0, {-128}, {-128}, 16384);
  // Four, and all, are more than an int16 holds.
  expect("four of 127 · 127", 0, {127, 127, 127, 127}, {127, 127, 127, 127}, 64516);
  expect("all of -128 · -128", 5, std::vector<int>(64, -128), std::vector<int>(64, -128), 1048581);
  expect("all of -128 · 127", 0, std::vector<int>(64, 127), std::vector<int>(64, -128), -1040384);
  expect("what cancels", 7, {127, 127, 0, 0, -127}, {127, -126, 0, 0, 1}, 7);
  // int32 wraps, and does not stop at its ends.
  expect("beyond the most", kMost, {1}, {1}, kLeast);
  expect("below the least", kLeast, {1}, {-1}, kMost);
  expect("beyond the most and back", kMost, {127, 0, 0, 0, 127}, {127, 0, 0, 0, -127}, kMost);
}

/// Weight n, k of a panel.
int32_t weight_at(DType dtype, const std::vector<uint8_t>& panel, int64_t n, int64_t k) {
  const uint8_t* const at = panel.data() + kScaleBytes;
  if (dtype == DType::kInt8) return static_cast<int8_t>(at[k / 4 * 256 + 4 * n + k % 4]);
  const uint8_t* const group = at + k / 32 * (64 + 1024);
  const uint8_t both = group[64 + k % 32 / 8 * 256 + 4 * n + k % 4];
  return static_cast<int8_t>(group[n]) * ((k % 8 < 4 ? both & 15 : both >> 4) - 8);
}

void product(DType dtype, int64_t rows, int64_t k) {
  const std::string name = "product of " + std::to_string(rows) + " rows, K = " + std::to_string(k);
  uint32_t state = static_cast<uint32_t>(rows * 7919 + k);
  const auto random = [&state](int least, int most) {  // within both
    state = state * 1664525 + 1013904223;
    return least + static_cast<int>((state >> 8) % static_cast<uint32_t>(most - least + 1));
  };
  constexpr int64_t kFirst = 16;  // rows before those that are asked for
  const int64_t held = kFirst + (rows + 15) / 16 * 16, stride = (k + 63) / 64 * 64;
  std::vector<int8_t> values(held * stride, 77);  // rows that are not asked for hold something
  std::vector<float> scales(held), row(k);
  std::vector<int32_t> totals(held), of_groups(held * stride / 32);
  const IntegerRows x{stride, values.data(), scales.data(), totals.data(), of_groups.data()};
  for (int64_t r = kFirst; r < kFirst + rows; ++r) {
    for (float& value : row) value = static_cast<float>(random(-127, 127));
    if (k > 0) row[random(0, static_cast<int>(k) - 1)] = -127;  // so that they are what they become
    x.quantize(r, row.data(), k);
    for (int64_t i = 0; i < stride; ++i) {
      expect_equal(name + ": a row", int32_t{values[r * stride + i]}, i < k ? static_cast<int32_t>(row[i]) : 0);
    }
  }
  std::vector<uint8_t> panel(panel_bytes(dtype, k));
  for (uint8_t& byte : panel) byte = static_cast<uint8_t>(random(-127, 127));
  if (dtype == DType::kInt4) {
    for (int64_t g = 0; g < (k + 31) / 32; ++g) {
      for (int64_t n = 0; n < 64; ++n) {
        panel[kScaleBytes + g * (64 + 1024) + n] = static_cast<uint8_t>(static_cast<int8_t>(random(-15, 15)));
      }
    }
  }
  std::vector<int32_t> sums((rows + 15) / 16 * 16 * 64, 99);
  {
    const IntegerProduct::Scope scope;
    IntegerProduct(x, dtype, k).multiply(kFirst, rows, panel.data(), sums.data());
  }
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t n = 0; n < 64; ++n) {
      int32_t expected = 0;
      for (int64_t i = 0; i < k; ++i) expected += values[(kFirst + r) * stride + i] * weight_at(dtype, panel, n, i);
      expect_equal(name, sums[r * 64 + n], expected);
    }
  }
}

}  // namespace

void test_int8() {
  instruction();
  for (const DType dtype : {DType::kInt8, DType::kInt4}) {
    for (const int64_t rows : {1, 8, 9, 16, 17, 96}) {  // from 9 on by tiles
      for (const int64_t k : {0, 1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 700}) product(dtype, rows, k);
    }
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
