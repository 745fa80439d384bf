#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "ops/gather.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// A block a row.
HEDDLE_KERNEL(kThreads)
gather(int64_t count, int64_t width, bool aligned, const float* x, const int32_t* index, float* out,
       unsigned long long* failure) {
  const int64_t row = block_x();
  const int64_t from = index[row];
  if (from < -1 || from >= count) {
    if (thread_index() == 0) report(failure, Fault::kIndex, row, from);
    return;
  }
  float* to = out + row * width;
  for (int64_t i = thread_index() * 4; i < width; i += kThreads * 4) {
    const float4 v = from < 0 ? float4{} : load_four(x + from * width + i, width - i, aligned);
    store_four(to + i, v, width - i, aligned);
  }
}

}  // namespace

Status run(const GatherRows& op, CudaContext& context) {
  const float* x = op.x->data<float>();
  float* out = op.out->data<float>();
  const int64_t width = op.x->shape[1];
  const bool aligned = width % 4 == 0 && is_aligned(x) && is_aligned(out);
  return launch(gather, {op.index->numel(), kThreads}, context, op.x->shape[0], width, aligned, x,
                op.index->data<int32_t>(), out, context.failure);
}

}  // namespace heddle::cuda
