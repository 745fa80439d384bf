#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "ops/gather.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// A block a row. T: an unsigned type of an element's size.
template <typename T>
HEDDLE_KERNEL(kThreads)
gather(int64_t count, int64_t width, bool aligned, const T* x, const int32_t* index, T* out,
       unsigned long long* failure) {
  const int64_t row = block_x();
  const int64_t from = index[row];
  if (from < -1 || from >= count) {
    if (thread_index() == 0) report(failure, Fault::kIndex, row, from);
    return;
  }
  T* to = out + row * width;
  for (int64_t i = thread_index() * kLanes<T>; i < width; i += kThreads * kLanes<T>) {
    const Words v = from < 0 ? Words{} : load_bits(x + from * width + i, width - i, aligned);
    store_bits(to + i, v, width - i, aligned);
  }
}

}  // namespace

Status run(const GatherRows& op, CudaContext& context) {
  return with_bits_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    T* out = op.out->data<T>();
    const int64_t width = op.x->shape[1];
    const bool aligned = width % kLanes<T> == 0 && is_aligned(x) && is_aligned(out);
    return launch(gather<T>, {op.index->numel(), kThreads}, context, op.x->shape[0], width, aligned, x,
                  op.index->data<int32_t>(), out, context.failure);
  });
}

}  // namespace heddle::cuda
