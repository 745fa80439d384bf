#include "cuda/kernels.h"
#include "cuda/strided.h"
#include "ops/matmul.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 256;
/// Rows and columns of a tile; a thread has four of each.
constexpr int kTile = 64;
/// Steps along k that are staged at a time.
constexpr int kDepth = 16;
/// Floats between the steps: a multiple of four that is not one of all banks.
constexpr int kStepFloats = kTile + 4;
using Slice = float[kDepth][kStepFloats];

template <typename T>
struct Product {
  int64_t m, n, k;
  Sizes out;
  Steps a_steps, b_steps;  // along the axes of the batch
  int64_t a_row, a_column, b_row, b_column;
  const T* a;
  const T* b;
  T* to;
};

/// Stages kTile lines of an operand (rows of a, columns of b) × kDepth steps along k, zeros beyond the ends. Threads
/// that lie side by side read along the axis that is dense.
template <typename T>
HEDDLE_DEVICE void stage(Slice& slice, const T* from, int64_t line_step, int64_t lines, int64_t k_step, int64_t depth) {
  const bool along_k = k_step == 1;
  for (int i = thread_index(); i < kTile * kDepth; i += kThreads) {
    const int line = along_k ? i / kDepth : i % kTile, step = along_k ? i % kDepth : i / kTile;
    slice[step][line] = line < lines && step < depth ? widen(from[line * line_step + step * k_step]) : 0.0f;
  }
}

/// A block a tile. Each sum is one chain along k.
template <typename T>
HEDDLE_KERNEL(kThreads)
multiply(HEDDLE_PARAMETER Product<T> p) {
  HEDDLE_SHARED(Slice, rows);
  HEDDLE_SHARED(Slice, columns);
  const int64_t across = (p.n + kTile - 1) / kTile, down = (p.m + kTile - 1) / kTile;
  const int64_t matrix = block_x() / (across * down);
  const int64_t first_row = block_x() / across % down * kTile, first_column = block_x() % across * kTile;
  const T* a = p.a + first_row * p.a_row;
  const T* b = p.b + first_column * p.b_column;
  int64_t left = matrix;
  for (int axis = p.out.rank - 3; axis >= 0; --axis) {
    const int64_t at = left % p.out.size[axis];
    left /= p.out.size[axis];
    a += at * p.a_steps.along[axis];
    b += at * p.b_steps.along[axis];
  }
  const int row = thread_index() / 16 * 4, column = thread_index() % 16 * 4;
  float4 sums[4] = {};
  for (int64_t k = 0; k < p.k; k += kDepth) {
    stage(rows, a + k * p.a_column, p.a_row, p.m - first_row, p.a_column, p.k - k);
    stage(columns, b + k * p.b_row, p.b_column, p.n - first_column, p.b_row, p.k - k);
    sync_block();  // the slices are there
    HEDDLE_UNROLL
    for (int i = 0; i < kDepth; ++i) {
      const float4 x = *reinterpret_cast<const float4*>(&rows[i][row]);
      const float4 y = *reinterpret_cast<const float4*>(&columns[i][column]);
      const float along[4] = {x.x, x.y, x.z, x.w};
      HEDDLE_UNROLL
      for (int r = 0; r < 4; ++r) {
        sums[r] = map_four(sums[r], y, [&](float sum, float v) { return fmaf(along[r], v, sum); });
      }
    }
    sync_block();  // nobody reads them any more
  }
  HEDDLE_UNROLL
  for (int r = 0; r < 4; ++r) {
    const float sum[4] = {sums[r].x, sums[r].y, sums[r].z, sums[r].w};
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int64_t m = first_row + row + r, n = first_column + column + j;
      if (m < p.m && n < p.n) p.to[(matrix * p.m + m) * p.n + n] = narrow<T>(sum[j]);
    }
  }
}

}  // namespace

Status run(const Matmul& op, CudaContext& context) {
  if (op.out->numel() == 0) return kSuccess;
  const Tensor &a = *op.a, &b = *op.b;
  const Shape& shape = op.out->shape;
  return with_float_type(op.out->dtype, [&](auto type) {
    using T = decltype(type);
    const Product<T> product{shape[-2],          shape[-1],     a.shape[-1],      sizes_of(shape), steps_of(a, shape),
                             steps_of(b, shape), a.strides[-2], a.strides[-1],    b.strides[-2],   b.strides[-1],
                             a.data<T>(),        b.data<T>(),   op.out->data<T>()};
    const int64_t tiles = ceil_div(product.m, kTile) * ceil_div(product.n, kTile);
    return launch(multiply<T>, {op.out->numel() / (product.m * product.n) * tiles, kThreads}, context, product);
  });
}

}  // namespace heddle::cuda
