#include "cuda/lanes.h"
#include "cuda/strided.h"
#include "ops/elementwise.h"

namespace heddle::cuda {
namespace {

/// T: an unsigned type of an element's size.
template <typename Index, typename T>
HEDDLE_KERNEL(kElementThreads)
copy_strided(Index count, Sizes sizes, Steps steps, const T* x, T* out) {
  const Steps all[] = {steps};
  for_each_offset<Index>(count, sizes, all, [&](Index i, const int64_t* offsets) { out[i] = x[offsets[0]]; });
}

HEDDLE_DEVICE float combine(float a, float b, BinaryKind kind) {
  switch (kind) {
    case BinaryKind::kAdd:
      return a + b;
    case BinaryKind::kSub:
      return a - b;
    case BinaryKind::kMul:
      return a * b;
    case BinaryKind::kDiv:
      return a / b;
    case BinaryKind::kMaximum:
      return a != a || a > b ? a : b;
    case BinaryKind::kMinimum:
      return a != a || a < b ? a : b;
  }
  return a;
}

template <typename Index, typename T>
HEDDLE_KERNEL(kElementThreads)
combine_broadcast(Index count, Sizes sizes, Steps a_steps, Steps b_steps, BinaryKind kind, const T* a, const T* b,
                  T* out) {
  const Steps all[] = {a_steps, b_steps};
  for_each_offset<Index>(count, sizes, all, [&](Index i, const int64_t* offsets) {
    out[i] = narrow<T>(combine(widen(a[offsets[0]]), widen(b[offsets[1]]), kind));
  });
}

template <typename T>
HEDDLE_KERNEL(kElementThreads)
combine_dense(int64_t count, bool aligned, BinaryKind kind, const T* a, const T* b, T* out) {
  for_each<int64_t>((count + kLanes<T> - 1) / kLanes<T>, [&](int64_t lanes) {
    const int64_t i = lanes * kLanes<T>, left = count - i;
    const auto x = load_lanes(a + i, left, aligned), y = load_lanes(b + i, left, aligned);
    store_lanes(out + i, map_lanes(x, y, [=](float p, float q) { return combine(p, q, kind); }), left, aligned);
  });
}

template <typename Index, typename T>
HEDDLE_KERNEL(kElementThreads)
choose(Index count, Sizes sizes, Steps steps, Steps a_steps, Steps b_steps, const uint8_t* condition, const T* a,
       const T* b, T* out) {
  const Steps all[] = {steps, a_steps, b_steps};
  for_each_offset<Index>(count, sizes, all, [&](Index i, const int64_t* offsets) {
    out[i] = condition[offsets[0]] ? a[offsets[1]] : b[offsets[2]];
  });
}

}  // namespace

Status run(const Copy& op, CudaContext& context) {
  const Shape& shape = op.x->shape;
  const int64_t count = shape.numel();
  const auto copy = [&](auto type) {
    using T = decltype(type);
    return with_index(count, [&](auto index) {
      return launch(copy_strided<decltype(index), T>, grid_for(count), context, index, sizes_of(shape),
                    steps_of(*op.x, shape), op.x->data<T>(), op.out->data<T>());
    });
  };
  return with_any_bits_type(op.x->dtype, copy);
}

Status run(const Binary& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  const int64_t count = shape.numel();
  return with_float_type(op.out->dtype, [&](auto type) {
    using T = decltype(type);
    const T* a = op.a->data<T>();
    const T* b = op.b->data<T>();
    T* out = op.out->data<T>();
    if (op.a->shape == op.b->shape && op.a->is_contiguous() && op.b->is_contiguous()) {
      const bool aligned = is_aligned(a) && is_aligned(b) && is_aligned(out);
      return launch(combine_dense<T>, dense_grid<T>(count), context, count, aligned, op.kind, a, b, out);
    }
    return with_index(count, [&](auto index) {
      return launch(combine_broadcast<decltype(index), T>, grid_for(count), context, index, sizes_of(shape),
                    steps_of(*op.a, shape), steps_of(*op.b, shape), op.kind, a, b, out);
    });
  });
}

Status run(const Where& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  const int64_t count = shape.numel();
  return with_any_bits_type(op.out->dtype, [&](auto type) {
    using T = decltype(type);
    return with_index(count, [&](auto index) {
      return launch(choose<decltype(index), T>, grid_for(count), context, index, sizes_of(shape),
                    steps_of(*op.condition, shape), steps_of(*op.a, shape), steps_of(*op.b, shape),
                    op.condition->data<uint8_t>(), op.a->data<T>(), op.b->data<T>(), op.out->data<T>());
    });
  });
}

}  // namespace heddle::cuda
