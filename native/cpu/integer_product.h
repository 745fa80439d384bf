#pragma once

#include <algorithm>
#include <cstdint>

#include "core/quantized.h"
#include "cpu/dot4.h"
#include "cpu/product.h"
#include "cpu/to_integers.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Rows of x as whole numbers: x[row, i] = scales[row] · values[row, i].
struct IntegerRows {
  static constexpr int64_t kStep = 64;

  int64_t stride;      // of a row: K filled up to a multiple of kStep with zeros
  int8_t* values;      // [rows, stride]
  float* scales;       // [rows]
  int32_t* totals;     // [rows]: sums of rows
  int32_t* of_groups;  // [rows, stride / kGroup]: sums of groups

  int64_t groups() const { return stride / kGroup; }

  template <typename T>
  void quantize(int64_t row, const T* x, int64_t k) const {
    int8_t* const to = values + row * stride;
    scales[row] = to_integers(x, k, to);
    std::fill(to + k, to + stride, int8_t{0});
    totals[row] = 0;
    for (int64_t g = 0; g < groups(); ++g) {
      int32_t of_group = 0;
      for (int64_t i = 0; i < kGroup; ++i) of_group += to[g * kGroup + i];
      of_groups[row * groups() + g] = of_group;
      totals[row] += of_group;
    }
  }
};

/// Products of `count` rows of x, from `row` on, with a panel of quantized weights: sums [count, 64] of whole numbers.
class IntegerProduct {
 public:
  /// Lives around multiplications, on their thread; rows of x and of sums there are memory for a multiple of kRowStep.
#if defined(HEDDLE_TILES)
  using Scope = TileScope;
  static constexpr int64_t kRowStep = kAmxRows;
#else
  using Scope = Product<float>::Scope;
  static constexpr int64_t kRowStep = 1;
#endif

  IntegerProduct(const IntegerRows& x, DType dtype, int64_t k) : x_(x), dtype_(dtype), k_(k) {}

  void multiply(int64_t row, int64_t count, const uint8_t* panel, int32_t* sums) const {
    const uint8_t* const weights = panel + kScaleBytes;
#if defined(HEDDLE_TILES)
    if (count > kFew) return multiply_tiles(row, count, weights, sums);
#endif
    const bool few = dtype_ == DType::kInt4 && count <= kFew;
    for (int64_t r = 0; r < count; ++r) {
      std::fill_n(sums + r * kPanelWidth, kPanelWidth, few ? 0 : Dot4::start(x_.totals[row + r]));
    }
    if (few) return add_groups(row, count, weights, sums);
    alignas(64) uint8_t widened[kChunk * kPanelWidth];
    for (int64_t first = 0; first < k_; first += kChunk) {
      const int64_t depth = std::min(kChunk, padded_inputs(dtype_, k_) - first);
      const int8_t* const x = x_.values + row * x_.stride + first;
      add_bytes(count, depth, x, chunk(weights, first, depth, widened), sums);
    }
  }

 private:
  /// Inputs that are multiplied at once: the bytes of 64 outputs stay in the first cache.
  static constexpr int64_t kChunk = 256;
  /// Rows that are too few to widen int4 for, as measured; tiles multiply so fast that it pays early.
#if defined(__AVX512F__) && !defined(HEDDLE_TILES)
  static constexpr int64_t kFew = 48;
#else
  static constexpr int64_t kFew = 8;
#endif

  /// The int8 weights of inputs [first, first + depth) of a panel.
  const uint8_t* chunk(const uint8_t* weights, int64_t first, int64_t depth, uint8_t* widened) const {
    if (dtype_ == DType::kInt8) return weights + first * kPanelWidth;
    const uint8_t* group = weights + first / kGroup * kInt4GroupBytes;
    for (uint8_t* to = widened; to < widened + depth * kPanelWidth; group += kInt4GroupBytes) to = widen(group, to);
    return widened;
  }

  /// The int8 weights of a group; the end of them.
  static uint8_t* widen(const uint8_t* group, uint8_t* to) {
    constexpr int kBytes = 4 * kPanelWidth;
    alignas(64) uint8_t multipliers[kBytes];
    for (int i = 0; i < kBytes; ++i) multipliers[i] = group[i / 4];
    const uint8_t* from = group + kPanelWidth;
    for (int64_t i = 0; i < kGroup; i += 8, from += kBytes, to += 2 * kBytes) {
      for (int j = 0; j < kBytes; ++j) to[j] = static_cast<uint8_t>(((from[j] & 15) - 8) * multipliers[j]);
      for (int j = 0; j < kBytes; ++j) to[kBytes + j] = static_cast<uint8_t>(((from[j] >> 4) - 8) * multipliers[j]);
    }
    return to;
  }

  template <int Rows>
  void add_bytes_of(int64_t depth, const int8_t* x, const uint8_t* weights, int32_t* sums) const {
    constexpr int kVecs = Dot4::kVecs, kLanes = Dot4::kLanes;
    for (int64_t n = 0; n < kPanelWidth; n += kVecs * kLanes) {
      typename Dot4::Sums acc[Rows][kVecs];
      for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < kVecs; ++v) acc[r][v] = Dot4::load(sums + r * kPanelWidth + n + v * kLanes);
      }
      const uint8_t* w = weights + 4 * n;
      for (int64_t i = 0; i < depth; i += 4, w += 4 * kPanelWidth) {
        typename Dot4::Weights weight[kVecs];
        for (int v = 0; v < kVecs; ++v) weight[v] = Dot4::weights(w + 4 * v * kLanes);
        for (int r = 0; r < Rows; ++r) {
          const auto in = Dot4::inputs(x + r * x_.stride + i);
          for (int v = 0; v < kVecs; ++v) acc[r][v] = Dot4::add(acc[r][v], weight[v], in);
        }
      }
      for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < kVecs; ++v) Dot4::store(sums + r * kPanelWidth + n + v * kLanes, acc[r][v]);
      }
    }
  }

  /// sums += x · weights over `depth` inputs, of int8.
  void add_bytes(int64_t count, int64_t depth, const int8_t* x, const uint8_t* weights, int32_t* sums) const {
    int64_t r = 0;
    for (; r + Dot4::kRows <= count; r += Dot4::kRows) {
      add_bytes_of<Dot4::kRows>(depth, x + r * x_.stride, weights, sums + r * kPanelWidth);
    }
    if constexpr (Dot4::kRows > 2) {
      for (; r + 2 <= count; r += 2) add_bytes_of<2>(depth, x + r * x_.stride, weights, sums + r * kPanelWidth);
    }
    for (; r < count; ++r) add_bytes_of<1>(depth, x + r * x_.stride, weights, sums + r * kPanelWidth);
  }

  template <int Rows>
  void add_groups_of(int64_t row, const uint8_t* weights, int32_t* sums) const {
    constexpr int kVecs = Dot4::kVecs, kLanes = Dot4::kLanes;
    const int8_t* const x = x_.values + row * x_.stride;
    const int32_t* const of_groups = x_.of_groups + row * x_.groups();
    for (int64_t n = 0; n < kPanelWidth; n += kVecs * kLanes) {
      typename Dot4::Sums total[Rows][kVecs];
      for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < kVecs; ++v) total[r][v] = Dot4::set(0);
      }
      const uint8_t* group = weights;
      for (int64_t g = 0; g * kGroup < k_; ++g, group += kInt4GroupBytes) {
        typename Dot4::Sums acc[Rows][kVecs];
        for (int r = 0; r < Rows; ++r) {
          for (int v = 0; v < kVecs; ++v) acc[r][v] = Dot4::set(-8 * of_groups[r * x_.groups() + g]);
        }
        const uint8_t* w = group + kPanelWidth + 4 * n;
        for (int64_t i = 0; i < kGroup; i += 8, w += 4 * kPanelWidth) {
          typename Dot4::Halves both[kVecs];
          for (int v = 0; v < kVecs; ++v) both[v] = Dot4::halves(w + 4 * v * kLanes);
          for (int r = 0; r < Rows; ++r) {
            const int8_t* const at = x + r * x_.stride + g * kGroup + i;
            const auto low = Dot4::inputs(at), high = Dot4::inputs(at + 4);
            for (int v = 0; v < kVecs; ++v) {
              acc[r][v] = Dot4::add(Dot4::add(acc[r][v], both[v].low, low), both[v].high, high);
            }
          }
        }
        for (int v = 0; v < kVecs; ++v) {
          const auto multiplier = Dot4::widen(group + n + v * kLanes);
          for (int r = 0; r < Rows; ++r) {
            total[r][v] = Dot4::plus(total[r][v], Dot4::multiply(acc[r][v], multiplier));
          }
        }
      }
      for (int r = 0; r < Rows; ++r) {
        for (int v = 0; v < kVecs; ++v) Dot4::store(sums + r * kPanelWidth + n + v * kLanes, total[r][v]);
      }
    }
  }

  /// sums = x · weights of int4, group by group.
  void add_groups(int64_t row, int64_t count, const uint8_t* weights, int32_t* sums) const {
    int64_t r = 0;
    for (; r + Dot4::kFewRows <= count; r += Dot4::kFewRows) {
      add_groups_of<Dot4::kFewRows>(row + r, weights, sums + r * kPanelWidth);
    }
    for (; r < count; ++r) add_groups_of<1>(row + r, weights, sums + r * kPanelWidth);
  }

#if defined(HEDDLE_TILES)
  /// The same sums by TDPBSSD: 64 inputs at once. Up to the next multiple of 16, rows of x and sums are memory, too.
  void multiply_tiles(int64_t row, int64_t count, const uint8_t* weights, int32_t* sums) const {
    constexpr int64_t kDepth = 64, kTileColumns = 16, kRowBytes = 4 * kPanelWidth;
    constexpr auto kTiles = std::make_integer_sequence<int, 4>{};
    alignas(64) uint8_t widened[kChunk * kPanelWidth];
    int64_t first = 0;
    do {
      const int64_t depth = std::min(kChunk, padded_inputs(dtype_, k_) - first);
      const uint8_t* const bytes = chunk(weights, first, depth, widened);
      // A group more than int4 has: its inputs are 0.
      if (bytes == widened) std::fill(widened + depth * kPanelWidth, widened + sizeof widened, uint8_t{0});
      for (int64_t r = 0; r < count; r += kAmxRows) {
        int32_t* const to = sums + r * kPanelWidth;
        if (first > 0) {
          unroll(kTiles, [&](auto n) { tileloadd<n, n * kTileColumns * 4>(to, kRowBytes); });
        } else {
          unroll(kTiles, [&](auto n) { tilezero<n>(); });
        }
        const int8_t* left = x_.values + (row + r) * x_.stride + first;
        const uint8_t* right = bytes;
        for (int64_t i = 0; i < depth; i += kDepth, left += kDepth, right += kDepth * kPanelWidth) {
          tileloadd<4>(left, x_.stride);
          unroll(kTiles, [&](auto n) {
            constexpr int kB = 5 + n % 3;  // three in turn: a load need not wait for the product before
            tileloadd<kB, n * kTileColumns * 4>(right, kRowBytes);
            tdpbssd<n, 4, kB>();
          });
        }
        unroll(kTiles, [&](auto n) { tilestored<n, n * kTileColumns * 4>(to, kRowBytes); });
      }
      first += kChunk;
    } while (first < k_);  // of no inputs, too, the sums are 0
  }
#endif

  const IntegerRows& x_;
  const DType dtype_;
  const int64_t k_;
};

}  // namespace heddle::cpu::HEDDLE_ISA
