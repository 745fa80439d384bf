#pragma once

#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/lanes.h"

namespace heddle::cuda {

constexpr int kElementThreads = 256;

/// Blocks for `items`, one a thread and turn: enough to fill the device, then each thread takes several.
inline Grid grid_for(int64_t items) {
  return {std::min<int64_t>(ceil_div(items, kElementThreads), 1 << 16), kElementThreads};
}

/// The same where a thread takes the lanes of a T at a time.
template <typename T>
Grid dense_grid(int64_t count) {
  return grid_for(ceil_div(count, kLanes<T>));
}

/// Calls body(i) for this thread's share of [0, count).
template <typename Index, typename Body>
HEDDLE_DEVICE void for_each(Index count, const Body& body) {
  const Index step = static_cast<Index>(num_blocks_x() * kElementThreads);
  for (Index i = static_cast<Index>(block_x() * kElementThreads + thread_index()); i < count; i += step) body(i);
}

/// The steps of a tensor along the axes of `out`, 0 where a size of 1 is repeated.
struct Steps {
  int64_t along[kMaxRank];
};

struct Sizes {
  int rank;
  int64_t size[kMaxRank];
};

inline Steps steps_of(const Tensor& x, const Shape& out) {
  Steps steps{};
  for (int axis = 0; axis < out.rank(); ++axis) {
    const int own = axis - (out.rank() - x.shape.rank());
    if (own >= 0 && x.shape[own] != 1) steps.along[axis] = x.strides[own];
  }
  return steps;
}

inline Sizes sizes_of(const Shape& shape) {
  Sizes sizes{shape.rank(), {}};
  std::copy(shape.begin(), shape.end(), sizes.size);
  return sizes;
}

/// Calls body(i, offsets) with the offset of element i in each of `Inputs` tensors. Index is 32 bits wide where that
/// is enough: a division in 64 bits costs more than the element.
template <typename Index, int Inputs, typename Body>
HEDDLE_DEVICE void for_each_offset(Index count, const Sizes& sizes, const Steps (&steps)[Inputs], const Body& body) {
  for_each<Index>(count, [&](Index i) {
    int64_t offsets[Inputs] = {};
    Index left = i;
    HEDDLE_UNROLL
    for (int axis = kMaxRank - 1; axis >= 0; --axis) {
      if (axis >= sizes.rank) continue;
      const Index size = static_cast<Index>(sizes.size[axis]);
      const Index at = left % size;
      left /= size;
      for (int n = 0; n < Inputs; ++n) offsets[n] += static_cast<int64_t>(at) * steps[n].along[axis];
    }
    body(i, offsets);
  });
}

/// Calls body(Index{}, count) with an index that is wide enough.
template <typename Body>
Status with_index(int64_t count, const Body& body) {
  if (count < (int64_t{1} << 31)) return body(static_cast<uint32_t>(count));
  return body(static_cast<uint64_t>(count));
}

}  // namespace heddle::cuda
