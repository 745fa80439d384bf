#pragma once

#include <cstdint>

#include "cpu/simd.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Rows that the inner kernel takes at once: with it, accumulators and operands just fill the registers.
constexpr int kTileRows = 6;
#if defined(__AVX512F__)
constexpr int kTileVecs = 4;  // 6 × 4 accumulators of 32 registers
#elif defined(HEDDLE_NEON)
constexpr int kTileVecs = 4;  // the same
#elif defined(__AVX2__)
constexpr int kTileVecs = 2;  // 6 × 2 of 16
#else
constexpr int kTileVecs = 2;
#endif

/// c [Rows, Vecs · width] (+)= a [Rows, k] · b [k, Vecs · width], b of any float type. One chain of multiply-adds along
/// k per element: the result does not depend on Rows or Vecs.
template <int Rows, int Vecs, typename T>
inline void gemm_block(int64_t k, const float* a, int64_t lda, const T* b, int64_t ldb, float* c, int64_t ldc,
                       bool accumulate) {
  constexpr int kW = Vec::kWidth;
  Vec acc[Rows][Vecs];
  for (int r = 0; r < Rows; ++r) {
    for (int n = 0; n < Vecs; ++n) acc[r][n] = accumulate ? Vec::load(c + r * ldc + n * kW) : Vec::set(0.0f);
  }
  for (int64_t i = 0; i < k; ++i) {
    Vec row[Vecs];
    for (int n = 0; n < Vecs; ++n) row[n] = Vec::load(b + i * ldb + n * kW);
    for (int r = 0; r < Rows; ++r) {
      const Vec x = Vec::set(a[r * lda + i]);
      for (int n = 0; n < Vecs; ++n) acc[r][n] = fma(x, row[n], acc[r][n]);
    }
  }
  for (int r = 0; r < Rows; ++r) {
    for (int n = 0; n < Vecs; ++n) acc[r][n].store(c + r * ldc + n * kW);
  }
}

/// Columns in steps of Vecs vectors, what is left in single vectors.
template <int Rows, int Vecs, typename T>
inline void gemm_rows(int64_t columns, int64_t k, const float* a, int64_t lda, const T* b, int64_t ldb, float* c,
                      int64_t ldc, bool accumulate) {
  constexpr int kW = Vec::kWidth;
  int64_t n = 0;
  for (; n + Vecs * kW <= columns; n += Vecs * kW) {
    gemm_block<Rows, Vecs>(k, a, lda, b + n, ldb, c + n, ldc, accumulate);
  }
  for (; n < columns; n += kW) gemm_block<Rows, 1>(k, a, lda, b + n, ldb, c + n, ldc, accumulate);
}

/// c [rows, columns] (+)= a [rows, k] · b [k, columns]; `columns` is a multiple of 16, so of every vector width.
template <typename T>
inline void gemm_tile(int64_t rows, int64_t columns, int64_t k, const float* a, int64_t lda, const T* b, int64_t ldb,
                      float* c, int64_t ldc, bool accumulate) {
  int64_t r = 0;
  for (; r + kTileRows <= rows; r += kTileRows) {
    gemm_rows<kTileRows, kTileVecs>(columns, k, a + r * lda, lda, b, ldb, c + r * ldc, ldc, accumulate);
  }
  for (; r + 2 <= rows; r += 2) {
    gemm_rows<2, 4>(columns, k, a + r * lda, lda, b, ldb, c + r * ldc, ldc, accumulate);
  }
  // One row is bound by the latency of its chains: as many columns at once as there are registers for.
  if (r < rows) gemm_rows<1, 64 / Vec::kWidth>(columns, k, a + r * lda, lda, b, ldb, c + r * ldc, ldc, accumulate);
}

}  // namespace heddle::cpu::HEDDLE_ISA
