#pragma once

#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/half.h"
#include "cpu/amx.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Of a tile of AMX: rows, columns of float32, and steps along k that one instruction takes.
constexpr int64_t kAmxRows = 16, kAmxColumns = 16, kAmxDepth = 32;
/// Steps along k that are interleaved at once: those of 64 columns are 32 KiB, which a first cache holds.
constexpr int64_t kAmxChunk = 8 * kAmxDepth;

/// body(0), …, body(N - 1) with numbers that are constants.
template <typename Body, int... N>
inline void unroll(std::integer_sequence<int, N...>, const Body& body) {
  (body(std::integral_constant<int, N>{}), ...);
}

/// Rows 2i and 2i + 1 of b [k, Tiles · 16] become row i of `pairs`, element by element. Rows that `seen` denies, and
/// those from k to the next multiple of kAmxDepth, count as zero and are not read.
template <int Tiles, typename Seen>
inline void interleave(int64_t k, const BFloat16* b, int64_t ldb, const Seen& seen, BFloat16* pairs) {
  const int64_t whole = (k + kAmxDepth - 1) / kAmxDepth * kAmxDepth;
  for (int64_t i = 0; i < whole; i += 2) {
    const bool has_even = i < k && seen(i), has_odd = i + 1 < k && seen(i + 1);
    for (int n = 0; n < Tiles; ++n, pairs += 2 * kAmxColumns) {
      const auto dwords = [&](bool has, int64_t row) {
        const auto* from = reinterpret_cast<const __m256i*>(b + row * ldb + n * kAmxColumns);
        return has ? _mm512_cvtepu16_epi32(_mm256_loadu_si256(from)) : _mm512_setzero_si512();
      };
      const __m512i even = dwords(has_even, i), odd = dwords(has_odd, i + 1);
      _mm512_store_si512(pairs, _mm512_or_si512(even, _mm512_slli_epi32(odd, 16)));
    }
  }
}

/// Tiles · 16 columns of tile_product. One copy for all callers: inlined, it would be much of the addon.
template <int Tiles, typename Seen>
[[gnu::noinline]] void multiply_columns(int64_t rows, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b,
                                        int64_t ldb, const Seen& seen, float* c, int64_t ldc, bool accumulate) {
  constexpr auto kTiles = std::make_integer_sequence<int, Tiles>{};
  constexpr int64_t kPairBytes = Tiles * 64;
  alignas(64) BFloat16 pairs[kAmxChunk * Tiles * kAmxColumns];
  int64_t first = 0;
  do {
    const int64_t depth = std::min(kAmxChunk, k - first);
    interleave<Tiles>(
        depth, b + first * ldb, ldb, [&](int64_t i) { return seen(first + i); }, pairs);
    for (int64_t r = 0; r < rows; r += kAmxRows) {
      float* const to = c + r * ldc;
      if (accumulate || first > 0) {
        unroll(kTiles, [&](auto n) { tileloadd<n, n * 64>(to, ldc * 4); });
      } else {
        unroll(kTiles, [&](auto n) { tilezero<n>(); });
      }
      const BFloat16 *left = a + r * lda + first, *right = pairs;
#pragma GCC unroll 1
      for (int64_t i = 0; i < depth; i += kAmxDepth) {
        tileloadd<4>(left, lda * 2);
        unroll(kTiles, [&](auto n) {
          constexpr int kB = 5 + n % 3;  // three in turn: a load need not wait for the product before
          tileloadd<kB, n * 64>(right, kPairBytes);
          tdpbf16ps<n, 4, kB>();
        });
        left += kAmxDepth;
        right += kAmxDepth * Tiles * kAmxColumns;
      }
      unroll(kTiles, [&](auto n) { tilestored<n, n * 64>(to, ldc * 4); });
    }
    first += kAmxChunk;
  } while (first < k);
}

/// c [rows, columns] (+)= a [rows, k] · b [k, columns] within a TileScope; `columns` is a multiple of 16. Rows i of b
/// for which seen(i) is false count as zero, whatever is there.
///
/// Rows are taken 16 at a time: up to the next multiple, those of a and c are memory too, and mean nothing. From k to
/// the next multiple of 32, a holds zeros. One order along k per element, that of TDPBF16PS for each 32 of it, one
/// after the other: the result depends on neither rows nor columns.
template <typename Seen>
inline void tile_product(int64_t rows, int64_t columns, int64_t k, const BFloat16* a, int64_t lda, const BFloat16* b,
                         int64_t ldb, const Seen& seen, float* c, int64_t ldc, bool accumulate) {
  int64_t n = 0;
  for (; n + 4 * kAmxColumns <= columns; n += 4 * kAmxColumns) {
    multiply_columns<4>(rows, k, a, lda, b + n, ldb, seen, c + n, ldc, accumulate);
  }
  for (; n < columns; n += kAmxColumns) {
    multiply_columns<1>(rows, k, a, lda, b + n, ldb, seen, c + n, ldc, accumulate);
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
