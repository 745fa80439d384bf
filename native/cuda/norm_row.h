#pragma once

#include "cuda/kernels.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

constexpr int kNormThreads = 256;
/// Rows up to this width are kept in shared memory between the passes; wider ones are read again.
constexpr int64_t kKeptWidth = 8192;

/// Rows to normalize: x, or x + residual, which goes to `sum`.
struct NormRows {
  int64_t width;
  bool aligned;  // what rows are read from and written to, 16 bytes at a time
  const float* x;
  const float* residual;
  float* sum;
  float* out;
};

/// A block's row. A thread takes four neighbours at a time and sees no others' elements, so that a row kept in shared
/// memory needs no barrier.
struct NormRow {
  const NormRows& rows;
  int64_t begin;

  HEDDLE_DEVICE explicit NormRow(const NormRows& rows) : rows(rows), begin(block_x() * rows.width) {}

  HEDDLE_DEVICE bool kept() const { return rows.width <= kKeptWidth; }

  /// Calls body(v, left) for this thread's fours of the row, the first `left` of them real. The first pass over it.
  template <typename Body>
  HEDDLE_DEVICE void read(const Body& body) const {
    for (int64_t i = thread_index() * 4; i < rows.width; i += num_threads() * 4) {
      const int64_t left = rows.width - i;
      float4 v = load_four(rows.x + begin + i, left, rows.aligned);
      if (rows.residual) {
        const float4 other = load_four(rows.residual + begin + i, left, rows.aligned);
        v = map_four(v, other, [](float a, float b) { return a + b; });
        store_four(rows.sum + begin + i, v, left, rows.aligned);
      }
      if (kept()) store_four(dynamic_shared() + i, v, 4, true);
      body(v, left);
    }
  }

  /// Calls body(v, left, i) once more, i being the first of the four.
  template <typename Body>
  HEDDLE_DEVICE void read_again(const Body& body) const {
    const float* const in = kept() ? dynamic_shared() : rows.residual ? rows.sum + begin : rows.x + begin;
    for (int64_t i = thread_index() * 4; i < rows.width; i += num_threads() * 4) {
      body(load_four(in + i, rows.width - i, kept() || rows.aligned), rows.width - i, i);
    }
  }

  HEDDLE_DEVICE void write(int64_t i, float4 v) const {
    store_four(rows.out + begin + i, v, rows.width - i, rows.aligned);
  }
};

/// Σ of a thread's fours, then of the block.
HEDDLE_DEVICE float reduce_fours(float4 v, float* slots) {
  return reduce_block((v.x + v.y) + (v.z + v.w), slots, Sum{});
}

/// Op is LayerNorm or RmsNorm; `vectors` are further operands of a row's width, null where absent.
template <typename Op>
NormRows norm_rows(const Op& op, std::initializer_list<const Tensor*> vectors) {
  const auto data = [](const Tensor* tensor) { return tensor ? tensor->data<float>() : nullptr; };
  NormRows rows{op.x->shape[-1], op.x->shape[-1] % 4 == 0, data(op.x), data(op.residual), data(op.sum), data(op.out)};
  for (const float* p :
       {rows.x, rows.residual, static_cast<const float*>(rows.sum), static_cast<const float*>(rows.out)}) {
    rows.aligned = rows.aligned && is_aligned(p);
  }
  for (const Tensor* vector : vectors) rows.aligned = rows.aligned && is_aligned(data(vector));
  return rows;
}

inline Grid norm_grid(const NormRows& rows, int64_t numel) {
  const size_t kept = rows.width <= kKeptWidth ? static_cast<size_t>(ceil_div(rows.width, 4) * 4) : 0;
  return {numel / rows.width, threads_for_row(rows.width, kNormThreads), 1, kept * sizeof(float)};
}

}  // namespace heddle::cuda
