#include "cuda/kernels.h"
#include "cuda/row_lse.h"
#include "ops/softmax.h"

namespace heddle::cuda {
namespace {

constexpr int kMaxThreads = 512;

/// A block a row: the maximum, the sum, the results. The row is read three times, from cache after the first.
template <typename T>
HEDDLE_KERNEL(kMaxThreads)
softmax(int64_t width, bool aligned, bool log, const T* x, T* out) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  const int64_t step = num_threads() * kLanes<T>, first = thread_index() * kLanes<T>;
  x += block_x() * width;
  out += block_x() * width;

  const float top = row_maximum(x, width, aligned, slots);
  const float total = row_sum_of_powers(x, width, aligned, top, slots);
  const float log_total = logf(total);
  for (int64_t i = first; i < width; i += step) {
    const auto v = load_lanes(x + i, width - i, aligned);
    const auto result = [=](float a) { return log ? (a - top) - log_total : expf(a - top) / total; };
    store_lanes(out + i, map_lanes(v, result), width - i, aligned);
  }
}

struct Best {
  float value;
  int32_t index;
};

/// Whether a comes before b: the larger first, NaN before all, of equals the first.
HEDDLE_DEVICE bool better(Best a, Best b) {
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan != b_nan) return a_nan;
  if (!a_nan && a.value != b.value) return a.value > b.value;
  return a.index < b.index;
}

template <typename T>
HEDDLE_KERNEL(kMaxThreads)
argmax(int64_t width, const T* x, int32_t* out) {
  HEDDLE_SHARED(WarpSlots<Best>, slots);
  x += block_x() * width;
  Best best{-kInfinity, INT32_MAX};
  for (int64_t i = thread_index(); i < width; i += num_threads()) {
    const Best other{widen(x[i]), static_cast<int32_t>(i)};
    if (better(other, best)) best = other;
  }
  for (int mask = kWarp / 2; mask > 0; mask /= 2) {
    const Best other{shuffle_xor(best.value, mask), shuffle_xor(best.index, mask)};
    if (better(other, best)) best = other;
  }
  if (lane_index() == 0) slots[warp_index()] = best;
  sync_block();
  if (thread_index() > 0) return;
  for (int w = 1; w < num_warps(); ++w) {
    if (better(slots[w], best)) best = slots[w];
  }
  out[block_x()] = best.index;
}

}  // namespace

Status run(const Softmax& op, CudaContext& context) {
  const int64_t width = op.x->shape[-1];
  if (op.x->numel() == 0) return kSuccess;
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    T* out = op.out->data<T>();
    const bool aligned = width % kLanes<T> == 0 && is_aligned(x) && is_aligned(out);
    return launch(softmax<T>, {op.x->numel() / width, threads_for_row(width, kMaxThreads)}, context, width, aligned,
                  op.log, x, out);
  });
}

Status run(const Argmax& op, CudaContext& context) {
  const int64_t width = op.x->shape[-1];
  if (op.x->numel() == 0) return kSuccess;
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    return launch(argmax<T>, {op.x->numel() / width, threads_for_row(width, kMaxThreads)}, context, width,
                  op.x->data<T>(), op.out->data<int32_t>());
  });
}

}  // namespace heddle::cuda
