#pragma once

#include "cuda/context.h"
#include "cuda/radix_select.h"
#include "cuda/reduce.h"
#include "scores/row.h"

namespace heddle::cuda {

/// Shared memory of a team.
struct TeamMemory {
  WarpSlots<float> floats;
  WarpSlots<double> doubles;
  WarpSlots<Weight> weights;
  Selection selection;
};

/// A row's scratch on the device, for each of `rows`: weights and keys of each token. Null where there is no memory.
struct ScoreScratch {
  float* weights;
  uint32_t* keys;

  static ScoreScratch of(CudaContext& context, int64_t rows, int64_t count) {
    const auto take = [&] { return context.allocate(context.owner, static_cast<size_t>(rows * count) * 4); };
    return {static_cast<float*>(take()), static_cast<uint32_t*>(take())};
  }
  bool exists() const { return weights && keys; }
};

/// BlockTeam::find, which many processors call.
HEDDLE_DEVICE_CALL uint64_t find_place(Selection& selection, const uint32_t* keys, const float* weights, int64_t n,
                                       Weight target) {
  const auto weigh = [=](int64_t i) { return weights ? scores::fixed_point(weights[i]) : Weight{1}; };
  // A place in as few bits as there are.
  const int low = index_bits(n);
  const auto place = [=](int64_t i) {
    return static_cast<uint64_t>(keys ? keys[i] : 0) << low | static_cast<uint64_t>(i);
  };
  const uint64_t found = radix_select(n, keys ? 32 + low : low, target, selection, place, weigh, keys == nullptr);
  return scores::place_of(static_cast<uint32_t>(found >> low),
                          static_cast<int64_t>(found & ((uint64_t{1} << low) - 1)));
}

/// A block as a team: see scores/row.h.
struct BlockTeam {
  /// Elements of a thread that are read before the first is used: one row is one block's, which must have much under
  /// way.
  static constexpr int kBatch = 8;

  TeamMemory& memory;

  template <typename F>
  HEDDLE_DEVICE void each(int64_t n, const F& f) const {
    for (int64_t i = thread_index(); i < n; i += num_threads()) f(i);
    sync_block();
  }

  template <typename T, typename F>
  HEDDLE_DEVICE void fill(T* to, int64_t n, const F& f) const {
    in_batches<T>(n, f, [=](int64_t i, T value) { to[i] = value; });
    sync_block();
  }

  template <typename T, typename F, typename Combine>
  HEDDLE_DEVICE T reduce(int64_t n, T zero, const F& f, const Combine& combine) const {
    T own = zero;
    in_batches<T>(n, f, [&](int64_t, T value) { own = combine(own, value); });
    return reduce_block(own, slots(T{}), combine);
  }

  HEDDLE_DEVICE float top_of(const float* x, int64_t n) const {
    // Once there is a NaN it stays.
    const auto larger = [](float a, float b) { return a >= b || a != a ? a : b; };
    return reduce<float>(
        n, -kInfinity, [=](int64_t i) { return x[i]; }, larger);
  }

  HEDDLE_DEVICE void weigh(const float* x, float top, int64_t n, float* weights) const {
    fill(weights, n, [=](int64_t i) { return expf(x[i] - top); });
  }

  HEDDLE_DEVICE uint64_t find(const uint32_t* keys, const float* weights, int64_t n, Weight target) const {
    return find_place(memory.selection, keys, weights, n, target);
  }

  HEDDLE_DEVICE uint32_t add_to(uint32_t* at, uint32_t value) const { return atomic_add(at, value); }
  HEDDLE_DEVICE void raise_to(uint32_t* at, uint32_t value) const { atomic_max(at, value); }
  HEDDLE_DEVICE uint32_t take(uint32_t* at) const { return atomic_exchange(at, 0u); }

 private:
  /// use(i, f(i)) for a thread's elements, in order.
  template <typename T, typename F, typename Use>
  HEDDLE_DEVICE void in_batches(int64_t n, const F& f, const Use& use) const {
    const int64_t step = num_threads();
    int64_t i = thread_index();
    HEDDLE_NO_UNROLL
    for (; i + (kBatch - 1) * step < n; i += kBatch * step) {
      T values[kBatch];
      HEDDLE_UNROLL
      for (int b = 0; b < kBatch; ++b) values[b] = f(i + b * step);
      HEDDLE_UNROLL
      for (int b = 0; b < kBatch; ++b) use(i + b * step, values[b]);
    }
    HEDDLE_NO_UNROLL
    for (; i < n; i += step) use(i, f(i));
  }

  HEDDLE_DEVICE float* slots(float) const { return memory.floats; }
  HEDDLE_DEVICE double* slots(double) const { return memory.doubles; }
  HEDDLE_DEVICE Weight* slots(Weight) const { return memory.weights; }
};

}  // namespace heddle::cuda
