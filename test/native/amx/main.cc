#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "amx/check.h"
#include "core/half.h"
#include "cpu/isa.h"
#include "cpu/tile_product.h"

// The instructions of cpu/amx.h against numbers worked out by hand from Intel's description, and tile_product against
// TDPBF16PS written down once more, number by number; int8.cc does the same for bytes. For a processor that has AMX, or
// a build that emulates it.

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kLeastNormal = 0x1p-126f;

int passed = 0, failed = 0;

/// A bfloat16 that holds x exactly.
BFloat16 half(float x) {
  const BFloat16 y = from_float<BFloat16>(x);
  if (!std::isnan(x) && to_float(y) != x) {
    std::printf("no bfloat16: %a\n", x);
    ++failed;
  }
  return y;
}

/// One element: c + Σ x[k] · y[k], at row 3 and column 5 of tiles that hold other numbers elsewhere.
float multiply(float c, const std::vector<float>& x, const std::vector<float>& y) {
  constexpr int kRow = 3, kColumn = 5;
  BFloat16 a[16][32], b[16][32];
  float sums[16][16];
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 32; ++j) a[i][j] = b[i][j] = half(static_cast<float>(i - j));
    for (int j = 0; j < 16; ++j) sums[i][j] = static_cast<float>(i * j);
  }
  for (size_t k = 0; k < 32; ++k) {
    a[kRow][k] = half(k < x.size() ? x[k] : 0.0f);
    b[k / 2][2 * kColumn + k % 2] = half(k < y.size() ? y[k] : 0.0f);
  }
  sums[kRow][kColumn] = c;
  const TileScope scope;
  tileloadd<0>(sums, 64);
  tileloadd<1>(a, 64);
  tileloadd<2>(b, 64);
  tdpbf16ps<0, 1, 2>();
  tilestored<0>(sums, 64);
  return sums[kRow][kColumn];
}

/// x at place k, 0 before it.
std::vector<float> at(size_t k, float x) {
  std::vector<float> all(k + 1, 0.0f);
  all[k] = x;
  return all;
}

void instruction() {
  const auto expect = [](const char* name, float c, const std::vector<float>& x, const std::vector<float>& y,
                         float expected) { expect_same(name, multiply(c, x, y), expected); };
  for (size_t k = 0; k < 32; ++k) {
    expect_same("place " + std::to_string(k), multiply(1, at(k, 3), at(k, static_cast<float>(k))), 1 + 3.0f * k);
  }

  // 2^24 + 1 lies between two numbers, and the even one is 2^24; 2^24 + 3 goes up to 2^24 + 4.
  expect("to the nearest, down to even", 0, {4096, 0, 1}, {4096, 0, 1}, 0x1p24f);
  expect("to the nearest, up to even", 0, {4096, 0, 3}, {4096, 0, 1}, 0x1p24f + 4);
  expect("to the nearest, below zero", 0, {-4096, 0, -3}, {4096, 0, 1}, -0x1p24f - 4);
  expect("sum with c to even", 0x1p24f, {1}, {1}, 0x1p24f);
  expect("sum with c to even", 0x1p24f, {3}, {1}, 0x1p24f + 4);

  // Even and odd k have sums of their own: 1 + 1 is 2 before it meets 2^24 ...
  expect("even and odd apart", 0, {4096, 1, 0, 1}, {4096, 1, 0, 1}, 0x1p24f + 2);
  // ... while in the chain of the even ones each 1 is lost.
  expect("a chain", 0, {4096, 0, 1, 0, 1}, {4096, 0, 1, 0, 1}, 0x1p24f);
  // Products are summed from zero, c comes last.
  expect("c last", 0x1p24f, {1, 0, 1}, {1, 0, 1}, 0x1p24f + 2);
  expect("c after what cancels", 1, {4096, -4096}, {4096, 4096}, 1);
  expect("order along k", 0, {4096, 0, -4096, 0, 1}, {4096, 0, 4096, 0, 1}, 1);
  expect("order along k", 0, {1, 0, 4096, 0, -4096}, {1, 0, 4096, 0, 4096}, 0);

  // One rounding of a product and a sum: 0x1p127 · 2 is ∞ by itself.
  expect("fused: beyond the largest", 0, {-0x1p127f, 0, 0x1p127f}, {1, 0, 2}, 0x1p127f);
  expect("overflow", 0, {0x1p127f}, {2}, kInfinity);
  expect("a quarter of a place above the largest", 0x1.fffffep127f, {0x1p51f}, {0x1p51f}, 0x1.fffffep127f);
  expect("half a place above the largest", 0x1.fffffep127f, {0x1p51f}, {0x1p52f}, kInfinity);

  // Denormal operands are zero, of c too.
  expect("denormal a", 1, {0x1p-127f}, {0x1p127f}, 1);
  expect("denormal a", 0, {0x1p-133f}, {0x1p127f}, 0);
  expect("denormal b", 0, {0x1p127f}, {0x1.8p-127f}, 0);
  expect("least normal a", 0, {kLeastNormal}, {0x1p127f}, 2);
  expect("denormal c", 0x1p-127f, {0}, {0}, 0);
  expect("denormal c", 0x1.8p-127f, {kLeastNormal}, {1}, kLeastNormal);
  expect("negative denormal c", -0x1p-149f, {1}, {1}, 1);
  // Denormal results are zero.
  expect("least normal result", 0, {0x1p-63f}, {0x1p-63f}, kLeastNormal);
  expect("denormal product", 0, {0x1p-63f}, {0x1p-64f}, 0);
  expect("denormal product", kLeastNormal, {0x1p-63f}, {0x1p-64f}, kLeastNormal);
  expect("denormal products, each zero", 0, {0x1p-63f, 0x1p-63f}, {0x1p-64f, 0x1p-64f}, 0);
  expect("denormal products in a chain, each zero", 0, {0x1p-63f, 0, 0x1p-63f}, {0x1p-64f, 0, 0x1p-64f}, 0);
  expect("denormal product within a fused sum", 0, {kLeastNormal, 0, 0x1p-63f}, {1, 0, 0x1p-64f}, 0x1.8p-126f);
  // What rounds to the least normal number, had it an exponent below, is none: 1 - 2^-25 does, 1 - 3/4 · 2^-24 does
  // not.
  expect("rounded to the least normal", 0, {kLeastNormal, 0, -0x1p-75f}, {1, 0, 0x1p-76f}, kLeastNormal);
  expect("rounded to a denormal", 0, {kLeastNormal, 0, -0x1.8p-75f}, {1, 0, 0x1p-76f}, 0);
  expect("denormal sum of even and odd", 0, {0x1.8p-126f, -kLeastNormal}, {1, 1}, 0);
  expect("denormal sum with c", -0x1.8p-126f, {kLeastNormal}, {1}, -0.0f);

  expect("∞", 0, {kInfinity, 1}, {2, -1}, kInfinity);
  expect("∞ - ∞", 0, {kInfinity, kInfinity}, {1, -1}, kNan);
  expect("∞ · 0", 0, {kInfinity}, {0}, kNan);
  expect("∞ · denormal", 0, {kInfinity}, {0x1p-130f}, kNan);
  expect("NaN", 0, {kNan}, {0}, kNan);
  expect("NaN in c", kNan, {1}, {1}, kNan);
  expect("∞ in c", -kInfinity, {1}, {1}, -kInfinity);
  expect("zeros", 0, {-1}, {0}, 0);
  expect("zeros", -0.0f, {0}, {0}, 0);
}

/// Tiles are what was last loaded, and nothing after another configuration.
void tiles() {
  float x[16][24], y[16][16];
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 24; ++j) x[i][j] = static_cast<float>(100 * i + j);
  }
  {
    const TileScope scope;
    tileloadd<6>(x, sizeof x[0]);
    tileloadd<7>(x[0] + 8, sizeof x[0]);
    tilestored<7>(y, 64);
    expect_same("last row and column", y[15][15], 1523);
    tilestored<6>(y, 64);
    expect_same("row 2, column 3", y[2][3], 203);
    tilezero<6>();
    tilestored<6>(y, 64);
    expect_same("zero", y[2][3], 0);
  }
  const TileScope scope;
  tilestored<7>(y, 64);
  expect_same("zero after a new configuration", y[15][15], 0);
}

/// As denormals are zero, in both directions.
float flushed(float x) { return std::fabs(x) < kLeastNormal ? std::copysign(0.0f, x) : x; }
float flushed(BFloat16 x) { return flushed(to_float(x)); }

/// c [1] += a [k] · b [k, ·], 32 of k after the other.
float plain_product(float c, int64_t k, const BFloat16* a, const BFloat16* b, int64_t ldb, uint64_t seen) {
  for (int64_t first = 0; first < k; first += 32) {
    float sums[2] = {0, 0};
    for (int64_t i = first; i < std::min(k, first + 32); ++i) {
      const float y = seen >> (i & 63) & 1 ? flushed(b[i * ldb]) : 0.0f;
      sums[i & 1] = flushed(std::fma(flushed(a[i]), y, sums[i & 1]));
    }
    c = flushed(flushed(c) + flushed(sums[0] + sums[1]));
  }
  return c;
}

void product(int64_t rows, int64_t columns, int64_t k, uint64_t seen, bool accumulate) {
  const std::string name = "product " + std::to_string(rows) + " " + std::to_string(columns) + " " + std::to_string(k);
  uint32_t state = static_cast<uint32_t>(rows * 7919 + columns * 104729 + k);
  const auto random = [&state] {
    state = state * 1664525 + 1013904223;
    return from_float<BFloat16>(static_cast<float>(static_cast<int32_t>(state) >> 8) * 0x1p-23f);
  };
  const int64_t held = (rows + 15) / 16 * 16, width = (k + 31) / 32 * 32;
  std::vector<BFloat16> a(held * width, BFloat16{}), b(k * columns);
  std::vector<float> c(held * columns, accumulate ? 0.5f : kNan);
  for (int64_t r = 0; r < held; ++r) {  // rows that are not asked for hold NaN
    for (int64_t i = 0; i < k; ++i) a[r * width + i] = r < rows ? random() : BFloat16{0x7FC0};
  }
  for (int64_t i = 0; i < k * columns; ++i) {
    const bool is_seen = (seen >> (i / columns & 63) & 1) != 0;
    b[i] = is_seen ? random() : BFloat16{0x7FC0};
  }
  {
    const TileScope scope;
    const auto is_seen = [seen](int64_t i) { return (seen >> (i & 63) & 1) != 0; };
    tile_product(rows, columns, k, a.data(), width, b.data(), columns, is_seen, c.data(), columns, accumulate);
  }
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float expected = plain_product(accumulate ? 0.5f : 0.0f, k, a.data() + i / columns * width,
                                         b.data() + i % columns, columns, seen);
    expect_same(name, c[i], expected);
  }
}

void products() {
  constexpr uint64_t kAll = ~uint64_t{0};
  for (const int64_t rows : {1, 15, 16, 17, 50}) {
    for (const int64_t columns : {16, 64, 80, 144}) {
      for (const int64_t k : {0, 1, 2, 31, 32, 33, 255, 256, 257, 700}) {
        product(rows, columns, k, kAll, false);
      }
    }
  }
  for (const uint64_t seen : {kAll, uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{0xFF00F0F00123FFFE}}) {
    product(5, 96, 64, seen, true);
  }
}

}  // namespace

void expect_same(const std::string& name, float actual, float expected) {
  const bool same = std::isnan(expected) ? std::isnan(actual) : bits_of_float(actual) == bits_of_float(expected);
  ++(same ? passed : failed);
  if (!same) std::printf("%s: %a expected but got %a\n", name.c_str(), expected, actual);
}

void expect_equal(const std::string& name, int32_t actual, int32_t expected) {
  ++(actual == expected ? passed : failed);
  if (actual != expected) std::printf("%s: %d expected but got %d\n", name.c_str(), expected, actual);
}

int test() {
  instruction();
  tiles();
  products();
  test_int8();
  std::printf("%d passed, %d failed\n", passed, failed);
  return failed > 0 ? 1 : 0;
}

}  // namespace heddle::cpu::HEDDLE_ISA

int main() {
  const heddle::cpu::Isa best = heddle::cpu::best_isa();
  if (best < heddle::cpu::Isa::kAmx) {
    std::printf("no more than %s here\n", heddle::cpu::name_of(best));
    return 2;
  }
  return heddle::cpu::HEDDLE_ISA::test();
}
