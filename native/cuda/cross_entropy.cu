#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/row_lse.h"
#include "ops/cross_entropy.h"

namespace heddle::cuda {
namespace {

constexpr int kMaxThreads = 512;

/// A block a row.
template <typename T>
HEDDLE_KERNEL(kMaxThreads)
cross_entropy(int64_t width, bool aligned, int32_t ignored, float smoothing, const T* x, const int32_t* labels,
              float* losses, unsigned long long* failure) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  const int64_t row = block_x();
  const int32_t label = labels[row];
  if (label == ignored || label < 0 || label >= width) {
    if (thread_index() > 0) return;
    if (label != ignored) report(failure, Fault::kIndex, row, label);
    losses[row] = 0.0f;
    return;
  }
  x += row * width;
  const float lse = row_lse(x, width, aligned, slots);
  float loss = lse - widen(x[label]);
  if (smoothing != 0.0f) {
    const float mean = row_sum(x, width, aligned, slots) / static_cast<float>(width);
    loss = (1.0f - smoothing) * loss + smoothing * (lse - mean);
  }
  if (thread_index() == 0) losses[row] = loss;
}

/// One block.
HEDDLE_KERNEL(kMaxThreads)
mean_of_kept(int64_t rows, int32_t ignored, const int32_t* labels, const float* losses, float* mean) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  HEDDLE_SHARED(WarpSlots<int64_t>, count_slots);
  float total = 0.0f;
  int64_t kept = 0;
  for (int64_t row = thread_index(); row < rows; row += num_threads()) {
    total += losses[row];
    kept += labels[row] != ignored;
  }
  total = reduce_block(total, slots, Sum{});
  kept = reduce_block(kept, count_slots, Sum{});
  if (thread_index() == 0) *mean = total / static_cast<float>(kept);
}

}  // namespace

Status run(const CrossEntropy& op, CudaContext& context) {
  const int64_t rows = op.losses->numel(), width = op.logits->shape[-1];
  const int32_t* labels = op.labels->data<int32_t>();
  float* losses = op.losses->data<float>();
  const Status status = with_float_type(op.logits->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.logits->data<T>();
    const bool aligned = width % kLanes<T> == 0 && is_aligned(x);
    return launch(cross_entropy<T>, {rows, threads_for_row(width, kMaxThreads)}, context, width, aligned, op.ignored,
                  op.smoothing, x, labels, losses, context.failure);
  });
  if (status != kSuccess || !op.mean) return status;
  return launch(mean_of_kept, {1, threads_for_row(rows, kMaxThreads)}, context, rows, op.ignored, labels, losses,
                op.mean->data<float>());
}

}  // namespace heddle::cuda
