#pragma once

#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

constexpr int kNormThreads = 1024;
/// Times 16 bytes that a thread keeps in registers between the passes. Rows that are wider than what the block keeps
/// are taken in turns, and read again for each pass.
constexpr int kNormLoads = 2;
/// Of a block of narrow rows, for which a warp's lanes need not load twice. A multiprocessor has no more than 32
/// blocks: with one a row, few bytes would be under way. So each is 8, 16 or 32 lanes'; what a warp's others would add
/// is 0.
constexpr int kNarrowThreads = 256;

/// Rows to normalize: x, or x + residual, which goes to `sum`.
template <typename T>
struct NormRows {
  int64_t count;
  int width;
  int lanes;     // of a narrow row
  bool aligned;  // what rows are read from and written to, 16 bytes at a time
  const T* x;
  const T* residual;
  T* sum;
  T* out;
};

/// A row of a block, or of some lanes of it. A thread sees no others' elements. All that it reads in a turn is under
/// way before the first is used.
template <typename T, bool Narrow>
struct NormRow {
  static constexpr int kLoads = Narrow ? 1 : kNormLoads;

  const NormRows<T>& rows;
  const int members, member;  // threads that have the row, and which of them this is
  const int64_t index;
  const int width;  // 0: there is no such row
  const int64_t begin;
  LanesOf<T> kept[kLoads];

  HEDDLE_DEVICE explicit NormRow(const NormRows<T>& rows)
      : rows(rows),
        members(Narrow ? rows.lanes : num_threads()),
        member(Narrow ? thread_index() % rows.lanes : thread_index()),
        index(Narrow ? block_x() * (kNarrowThreads / rows.lanes) + thread_index() / rows.lanes : block_x()),
        width(index < rows.count ? rows.width : 0),
        begin(index * rows.width) {}

  HEDDLE_DEVICE bool is_first() const { return member == 0 && width > 0; }

  /// Calls body(v, left, i) for this thread's lanes of the row, the first `left` of them real, i being the first of
  /// them. This is the first pass over the row.
  template <typename Body>
  HEDDLE_DEVICE void read(const Body& body) {
    for (int turn = 0; turn < width; turn += turn_elements()) {
      load(turn);
      for_kept(turn, [&](const LanesOf<T>& v, int left, int i) {
        if (rows.residual) store_lanes(rows.sum + begin + i, v, left, rows.aligned);
        body(v, left, i);
      });
    }
  }

  /// The same once more.
  template <typename Body>
  HEDDLE_DEVICE void read_again(const Body& body) {
    for (int turn = 0; turn < width; turn += turn_elements()) {
      if (width > turn_elements()) load(turn);
      for_kept(turn, body);
    }
  }

  HEDDLE_DEVICE void write(int i, const LanesOf<T>& v) const {
    store_lanes(rows.out + begin + i, v, width - i, rows.aligned);
  }

  /// Σ of a thread's lanes, then of the row's threads.
  HEDDLE_DEVICE float sum(LanesOf<T> v, float* slots) const {
    HEDDLE_UNROLL
    for (int half = kLanes<T> / 2; half > 0; half /= 2) {
      HEDDLE_UNROLL
      for (int i = 0; i < half; ++i) v.at[i] += v.at[i + half];
    }
    float total = v.at[0];
    if constexpr (Narrow) {
      for (int mask = members / 2; mask > 0; mask /= 2) total += shuffle_xor(total, mask);
    } else {
      total = reduce_block(total, slots, Sum{});
    }
    return total;
  }

 private:
  HEDDLE_DEVICE int turn_elements() const { return members * kLoads * kLanes<T>; }
  HEDDLE_DEVICE int place(int turn, int load) const { return turn + (load * members + member) * kLanes<T>; }

  HEDDLE_DEVICE void load(int turn) {
    Words x[kLoads], residual[kLoads];
    HEDDLE_UNROLL
    for (int n = 0; n < kLoads; ++n) {
      const int i = place(turn, n);
      if (i >= width) continue;
      x[n] = load_bits(rows.x + begin + i, width - i, rows.aligned);
      if (rows.residual) residual[n] = load_bits(rows.residual + begin + i, width - i, rows.aligned);
    }
    HEDDLE_UNROLL
    for (int n = 0; n < kLoads; ++n) {
      kept[n] = widen_bits<T>(x[n]);
      if (!rows.residual) continue;
      kept[n] = map_lanes(kept[n], widen_bits<T>(residual[n]), [](float a, float b) { return a + b; });
    }
  }

  template <typename Body>
  HEDDLE_DEVICE void for_kept(int turn, const Body& body) {
    HEDDLE_UNROLL
    for (int n = 0; n < kLoads; ++n) {
      const int i = place(turn, n);
      if (i < width) body(kept[n], width - i, i);
    }
  }
};

/// Op is LayerNorm or RmsNorm; `vectors` are further operands of a row's width, null where absent.
template <typename T, typename Op, typename... Vectors>
NormRows<T> norm_rows(const Op& op, Vectors... vectors) {
  const auto data = [](const Tensor* tensor) { return tensor ? tensor->data<T>() : nullptr; };
  const auto are_aligned = [](auto... p) { return (is_aligned(p) && ...); };
  const int64_t width = op.x->shape[-1];
  NormRows<T> rows{
      op.x->numel() / width, static_cast<int>(width), 8, false, data(op.x), data(op.residual), data(op.sum),
      data(op.out)};
  while (rows.lanes < kWarp && rows.lanes * kLanes<T> < width) rows.lanes *= 2;
  rows.aligned = width % kLanes<T> == 0 && are_aligned(rows.x, rows.residual, rows.sum, rows.out, vectors...);
  return rows;
}

template <typename T>
bool is_narrow(const NormRows<T>& rows) {
  return rows.width <= kLanes<T> * kWarp;
}

/// Threads are a function of the width alone, since they fix the order of sums.
template <typename T>
Grid norm_grid(const NormRows<T>& rows) {
  if (is_narrow(rows)) return {ceil_div(rows.count, kNarrowThreads / rows.lanes), kNarrowThreads};
  const int64_t wanted = ceil_div(rows.width, kNormLoads * kLanes<T> * kWarp) * kWarp;
  return {rows.count, static_cast<int>(wanted < kNormThreads ? wanted : kNormThreads)};
}

}  // namespace heddle::cuda
