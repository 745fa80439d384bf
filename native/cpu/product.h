#pragma once

#include <algorithm>
#include <cstdint>

#include "core/dtype.h"
#include "cpu/gemm_tile.h"
#include "ops/kv_cache.h"
#if defined(__AMX_BF16__) || defined(__AMXBF16__)  // GCC's name, and that of older Clang
#define HEDDLE_TILES
#include "cpu/tile_product.h"
#endif

namespace heddle::cpu::HEDDLE_ISA {

/// The product of linear and attention, c [rows, columns] (+)= a [rows, k] · b [k, columns], at this level, where b is
/// of T: a panel of weights, or the keys or values of a page (of int8 without their scales). c is float32, `columns` a
/// multiple of 16. An element's arithmetic depends on its own row of a and column of b alone.
template <typename T>
struct Product {
  /// What a is held as; a row of it takes `left_width(k)`, and there is memory for a multiple of kRowStep rows of a and
  /// of c.
  using Left = float;
  static int64_t left_width(int64_t k) { return k; }
  static constexpr int64_t kRowStep = 1;
  /// Rows that are best taken at once.
  static constexpr int64_t kRows = kTileRows;
  /// Lives around multiplications, on their thread.
  struct Scope {
    Scope() {}
  };

  /// A row of a, of any float type.
  template <typename From>
  static void load_row(const From* from, int64_t k, Left* to) {
    for (int64_t i = 0; i < k; i += Vec::kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, k - i));
      Vec::load(from + i, lanes).store(to + i, lanes);
    }
  }

  static void multiply(int64_t rows, int64_t columns, int64_t k, const Left* a, const T* b, float* c) {
    gemm_tile(rows, columns, k, a, k, b, columns, c, columns, false);
  }

  /// c += p · b with p [rows, kPageKeys], numbers that a T can hold. Rows of b that are not among the bits of `seen`
  /// are not read; p is 0 there.
  static void add_values(int64_t rows, int64_t columns, const float* p, uint64_t seen, const T* b, float* c) {
    for (int64_t first = 0; first < kPageKeys;) {  // runs of keys that are seen
      if ((seen >> first & 1) == 0) {
        ++first;
        continue;
      }
      int64_t last = first;
      while (last < kPageKeys && (seen >> last & 1) != 0) ++last;
      gemm_tile(rows, columns, last - first, p + first, kPageKeys, b + first * columns, columns, c, columns, true);
      first = last;
    }
  }
};

#if defined(HEDDLE_TILES)

template <>
struct Product<BFloat16> {
  using Left = BFloat16;
  static int64_t left_width(int64_t k) { return (k + kAmxDepth - 1) / kAmxDepth * kAmxDepth; }
  static constexpr int64_t kRowStep = kAmxRows;
  static constexpr int64_t kRows = 8 * kAmxRows;  // to interleave b once for many
  using Scope = TileScope;

  static void load_row(const BFloat16* from, int64_t k, Left* to) {
    std::copy(from, from + k, to);
    std::fill(to + k, to + left_width(k), BFloat16{});
  }

  static void multiply(int64_t rows, int64_t columns, int64_t k, const Left* a, const BFloat16* b, float* c) {
    const auto all = [](int64_t) { return true; };
    tile_product(rows, columns, k, a, left_width(k), b, columns, all, c, columns, false);
  }

  static void add_values(int64_t rows, int64_t columns, const float* p, uint64_t seen, const BFloat16* b, float* c) {
    alignas(64) BFloat16 halves[kRows * kPageKeys];
    int64_t keys = kPageKeys;
    while (keys > 0 && (seen >> (keys - 1) & 1) == 0) --keys;
    const auto is_seen = [seen](int64_t key) { return (seen >> key & 1) != 0; };
    for (int64_t r = 0; r < rows; r += kRows) {
      const int64_t count = std::min(kRows, rows - r);
      for (int64_t i = 0; i < count * kPageKeys; i += Vec::kWidth) Vec::load(p + r * kPageKeys + i).store(halves + i);
      tile_product(count, columns, keys, halves, kPageKeys, b, columns, is_seen, c + r * columns, columns, true);
    }
  }
};

/// This level is asked for products of bfloat16 alone (cpu/kernels.cc).
template <typename Body>
auto with_product_type(DType, const Body& body) {
  return body(BFloat16{});
}

#else

/// body(T{}) with the type of b.
template <typename Body>
auto with_product_type(DType dtype, const Body& body) {
  return with_float_type(dtype, body);
}

#endif

}  // namespace heddle::cpu::HEDDLE_ISA
