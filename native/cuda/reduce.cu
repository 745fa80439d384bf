#include "cuda/kernels.h"
#include "cuda/row_lse.h"
#include "ops/reduce.h"

namespace heddle::cuda {
namespace {

constexpr int kMaxThreads = 512;

/// A block a row.
template <typename T>
HEDDLE_KERNEL(kMaxThreads)
reduce(int64_t width, bool aligned, ReduceKind kind, const T* x, T* out) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  x += block_x() * width;
  float y = kind == ReduceKind::kLogSumExp ? row_lse(x, width, aligned, slots) : row_sum(x, width, aligned, slots);
  if (kind == ReduceKind::kMean) y /= static_cast<float>(width);
  if (thread_index() == 0) out[block_x()] = narrow<T>(y);
}

}  // namespace

Status run(const Reduce& op, CudaContext& context) {
  const int64_t width = op.x->shape[-1];
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    const bool aligned = width % kLanes<T> == 0 && is_aligned(x);
    return launch(reduce<T>, {op.out->numel(), threads_for_row(width, kMaxThreads)}, context, width, aligned, op.kind,
                  x, op.out->data<T>());
  });
}

}  // namespace heddle::cuda
