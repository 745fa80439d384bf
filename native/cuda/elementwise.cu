#include "cuda/activation.h"
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

template <typename Index, typename T>
HEDDLE_KERNEL(kElementThreads)
add_broadcast(Index count, Sizes sizes, Steps a_steps, Steps b_steps, const T* a, const T* b, T* out) {
  const Steps all[] = {a_steps, b_steps};
  for_each_offset<Index>(count, sizes, all, [&](Index i, const int64_t* offsets) {
    out[i] = narrow<T>(widen(a[offsets[0]]) + widen(b[offsets[1]]));
  });
}

template <typename T>
HEDDLE_KERNEL(kElementThreads)
add_dense(int64_t count, bool aligned, const T* a, const T* b, T* out) {
  for_each<int64_t>((count + kLanes<T> - 1) / kLanes<T>, [&](int64_t lanes) {
    const int64_t i = lanes * kLanes<T>, left = count - i;
    const auto x = load_lanes(a + i, left, aligned), y = load_lanes(b + i, left, aligned);
    store_lanes(out + i, map_lanes(x, y, [](float p, float q) { return p + q; }), left, aligned);
  });
}

template <typename T>
HEDDLE_KERNEL(kElementThreads)
activate_dense(int64_t count, bool aligned, Activation activation, const T* x, T* out) {
  for_each<int64_t>((count + kLanes<T> - 1) / kLanes<T>, [&](int64_t lanes) {
    const int64_t i = lanes * kLanes<T>, left = count - i;
    const auto v = load_lanes(x + i, left, aligned);
    store_lanes(out + i, activate_lanes(v, activation), left, aligned);
  });
}

template <typename T>
HEDDLE_KERNEL(kElementThreads)
gate_dense(int64_t count, bool aligned, Activation activation, const T* gate, const T* up, T* out) {
  for_each<int64_t>((count + kLanes<T> - 1) / kLanes<T>, [&](int64_t lanes) {
    const int64_t i = lanes * kLanes<T>, left = count - i;
    const auto g = load_lanes(gate + i, left, aligned), u = load_lanes(up + i, left, aligned);
    const auto opened = activate_lanes(g, activation);
    store_lanes(out + i, map_lanes(opened, u, [](float a, float b) { return a * b; }), left, aligned);
  });
}

template <typename T>
Grid dense_grid(int64_t count) {
  return grid_for(ceil_div(count, kLanes<T>));
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
  return op.x->dtype == DType::kBool ? copy(uint8_t{}) : with_bits_type(op.x->dtype, copy);
}

Status run(const Add& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  const int64_t count = shape.numel();
  return with_float_type(op.out->dtype, [&](auto type) {
    using T = decltype(type);
    const T* a = op.a->data<T>();
    const T* b = op.b->data<T>();
    T* out = op.out->data<T>();
    if (op.a->shape == op.b->shape && op.a->is_contiguous() && op.b->is_contiguous()) {
      const bool aligned = is_aligned(a) && is_aligned(b) && is_aligned(out);
      return launch(add_dense<T>, dense_grid<T>(count), context, count, aligned, a, b, out);
    }
    return with_index(count, [&](auto index) {
      return launch(add_broadcast<decltype(index), T>, grid_for(count), context, index, sizes_of(shape),
                    steps_of(*op.a, shape), steps_of(*op.b, shape), a, b, out);
    });
  });
}

Status run(const Activate& op, CudaContext& context) {
  const int64_t count = op.x->numel();
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    T* out = op.out->data<T>();
    const bool aligned = is_aligned(x) && is_aligned(out);
    return launch(activate_dense<T>, dense_grid<T>(count), context, count, aligned, op.activation, x, out);
  });
}

Status run(const Gated& op, CudaContext& context) {
  const int64_t count = op.out->numel();
  return with_float_type(op.out->dtype, [&](auto type) {
    using T = decltype(type);
    const T* gate = op.gate->data<T>();
    const T* up = op.up->data<T>();
    T* out = op.out->data<T>();
    const bool aligned = is_aligned(gate) && is_aligned(up) && is_aligned(out);
    return launch(gate_dense<T>, dense_grid<T>(count), context, count, aligned, op.activation, gate, up, out);
  });
}

}  // namespace heddle::cuda
