#pragma once

#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

constexpr int kNormThreads = 1024;
/// Times 16 bytes that a thread keeps in registers between the passes. Rows that are wider than what the block keeps
/// are taken in turns, and read again for each pass.
constexpr int kNormLoads = 2;

/// Rows to normalize: x, or x + residual, which goes to `sum`.
template <typename T>
struct NormRows {
  int width;
  bool aligned;  // what rows are read from and written to, 16 bytes at a time
  const T* x;
  const T* residual;
  T* sum;
  T* out;
};

/// A block's row. A thread sees no others' elements. All that it reads in a turn is under way before the first is used.
template <typename T>
struct NormRow {
  static constexpr int kKept = kNormLoads * kLanes<T>;

  const NormRows<T>& rows;
  int64_t begin;
  LanesOf<T> kept[kNormLoads];

  HEDDLE_DEVICE explicit NormRow(const NormRows<T>& rows) : rows(rows), begin(block_x() * rows.width) {}

  /// Calls body(v, left, i) for this thread's lanes of the row, the first `left` of them real, i being the first of
  /// them. This is the first pass over the row.
  template <typename Body>
  HEDDLE_DEVICE void read(const Body& body) {
    for (int turn = 0; turn < rows.width; turn += turn_elements()) {
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
    for (int turn = 0; turn < rows.width; turn += turn_elements()) {
      if (rows.width > turn_elements()) load(turn);
      for_kept(turn, body);
    }
  }

  HEDDLE_DEVICE void write(int i, const LanesOf<T>& v) const {
    store_lanes(rows.out + begin + i, v, rows.width - i, rows.aligned);
  }

 private:
  HEDDLE_DEVICE int turn_elements() const { return num_threads() * kKept; }
  HEDDLE_DEVICE int place(int turn, int load) const {
    return turn + (load * num_threads() + thread_index()) * kLanes<T>;
  }

  HEDDLE_DEVICE void load(int turn) {
    Words x[kNormLoads], residual[kNormLoads];
    HEDDLE_UNROLL
    for (int n = 0; n < kNormLoads; ++n) {
      const int i = place(turn, n);
      if (i >= rows.width) continue;
      x[n] = load_bits(rows.x + begin + i, rows.width - i, rows.aligned);
      if (rows.residual) residual[n] = load_bits(rows.residual + begin + i, rows.width - i, rows.aligned);
    }
    HEDDLE_UNROLL
    for (int n = 0; n < kNormLoads; ++n) {
      kept[n] = widen_bits<T>(x[n]);
      if (!rows.residual) continue;
      kept[n] = map_lanes(kept[n], widen_bits<T>(residual[n]), [](float a, float b) { return a + b; });
    }
  }

  template <typename Body>
  HEDDLE_DEVICE void for_kept(int turn, const Body& body) {
    HEDDLE_UNROLL
    for (int n = 0; n < kNormLoads; ++n) {
      const int i = place(turn, n);
      if (i < rows.width) body(kept[n], rows.width - i, i);
    }
  }
};

/// Σ of a thread's lanes, then of the block.
template <int N>
HEDDLE_DEVICE float reduce_lanes(Lanes<N> v, float* slots) {
  HEDDLE_UNROLL
  for (int width = N / 2; width > 0; width /= 2) {
    HEDDLE_UNROLL
    for (int i = 0; i < width; ++i) v.at[i] += v.at[i + width];
  }
  return reduce_block(v.at[0], slots, Sum{});
}

/// Op is LayerNorm or RmsNorm; `vectors` are further operands of a row's width, null where absent.
template <typename T, typename Op, typename... Vectors>
NormRows<T> norm_rows(const Op& op, Vectors... vectors) {
  const auto data = [](const Tensor* tensor) { return tensor ? tensor->data<T>() : nullptr; };
  const auto are_aligned = [](auto... p) { return (is_aligned(p) && ...); };
  const int64_t width = op.x->shape[-1];
  NormRows<T> rows{static_cast<int>(width), false, data(op.x), data(op.residual), data(op.sum), data(op.out)};
  rows.aligned = width % kLanes<T> == 0 && are_aligned(rows.x, rows.residual, rows.sum, rows.out, vectors...);
  return rows;
}

/// Threads are a function of the width alone, since they fix the order of sums.
template <typename T>
Grid norm_grid(int64_t width, int64_t numel) {
  const int64_t wanted = ceil_div(width, kNormLoads * kLanes<T> * kWarp) * kWarp;
  return {numel / width, static_cast<int>(wanted < kNormThreads ? wanted : kNormThreads)};
}

}  // namespace heddle::cuda
