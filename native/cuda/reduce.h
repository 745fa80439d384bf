#pragma once

#include "cuda/device.h"

namespace heddle::cuda {

struct Sum {
  template <typename T>
  HEDDLE_DEVICE T operator()(T a, T b) const {
    return a + b;
  }
};
/// Drops a NaN: for rows whose NaN comes back by another way.
struct Largest {
  HEDDLE_DEVICE float operator()(float a, float b) const { return fmaxf(a, b); }
};

/// All lanes get the same bytes: at each step the two of a pair combine the same two values, and f is commutative.
template <typename T, typename F>
HEDDLE_DEVICE T reduce_warp(T value, const F& f) {
  HEDDLE_UNROLL
  for (int mask = kWarp / 2; mask > 0; mask /= 2) value = f(value, shuffle_xor(value, mask));
  return value;
}

/// Shared memory for one value of each warp.
template <typename T>
using WarpSlots = T[32];

/// Over the block, in an order fixed by its number of threads.
template <typename T, typename F>
HEDDLE_DEVICE T reduce_block(T value, T* slots, const F& f) {
  value = reduce_warp(value, f);
  if (lane_index() == 0) slots[warp_index()] = value;
  sync_block();
  value = slots[0];
  for (int w = 1; w < num_warps(); ++w) value = f(value, slots[w]);
  sync_block();  // the slots may be written again
  return value;
}

/// Threads for a row of `width` elements, four to a thread, up to `most`: a function of the width alone, since it
/// fixes the order of sums.
inline int threads_for_row(int64_t width, int most) {
  const int64_t wanted = (width + 4 * kWarp - 1) / (4 * kWarp) * kWarp;
  return static_cast<int>(wanted < most ? (wanted < kWarp ? kWarp : wanted) : most);
}

}  // namespace heddle::cuda
