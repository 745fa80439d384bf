#pragma once

#include "cuda/lanes.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

/// Calls body(v) for this thread's elements of a row of the block.
template <typename T, typename Body>
HEDDLE_DEVICE void for_row(const T* x, int64_t width, bool aligned, const Body& body) {
  for (int64_t i = thread_index() * kLanes<T>; i < width; i += num_threads() * kLanes<T>) {
    const auto v = load_lanes<Reuse::kSoon>(x + i, width - i, aligned);
    HEDDLE_UNROLL
    for (int j = 0; j < kLanes<T>; ++j) {
      if (i + j < width) body(v.at[j]);
    }
  }
}

/// The largest of a row; NaN is passed over, as it comes back in the sum.
template <typename T>
HEDDLE_DEVICE float row_maximum(const T* x, int64_t width, bool aligned, float* slots) {
  float top = -kInfinity;
  for_row(x, width, aligned, [&](float v) { top = fmaxf(top, v); });
  return reduce_block(top, slots, Largest{});
}

template <typename T>
HEDDLE_DEVICE float row_sum(const T* x, int64_t width, bool aligned, float* slots) {
  float total = 0.0f;
  for_row(x, width, aligned, [&](float v) { total += v; });
  return reduce_block(total, slots, Sum{});
}

/// Σ e^(x - shift)
template <typename T>
HEDDLE_DEVICE float row_sum_of_powers(const T* x, int64_t width, bool aligned, float shift, float* slots) {
  float total = 0.0f;
  for_row(x, width, aligned, [&](float v) { total += expf(v - shift); });
  return reduce_block(total, slots, Sum{});
}

/// ln Σ e^x of a row.
template <typename T>
HEDDLE_DEVICE float row_lse(const T* x, int64_t width, bool aligned, float* slots) {
  const float top = row_maximum(x, width, aligned, slots);
  const float shift = fabsf(top) == kInfinity ? 0.0f : top;  // ∞ - ∞ is NaN
  return shift + logf(row_sum_of_powers(x, width, aligned, shift, slots));
}

}  // namespace heddle::cuda
