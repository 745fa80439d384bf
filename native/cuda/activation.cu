#include "cuda/activation.h"
#include "cuda/strided.h"

namespace heddle::cuda {
namespace {

template <typename T>
HEDDLE_KERNEL(kElementThreads)
activate_dense(int64_t count, bool aligned, Activation activation, float alpha, const T* x, T* out) {
  for_each<int64_t>((count + kLanes<T> - 1) / kLanes<T>, [&](int64_t lanes) {
    const int64_t i = lanes * kLanes<T>, left = count - i;
    const auto v = load_lanes(x + i, left, aligned);
    const auto y = activation == Activation::kSilu ? map_lanes(v, [=](float a) { return swish(a, alpha); })
                                                   : activate_lanes(v, activation);
    store_lanes(out + i, y, left, aligned);
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

}  // namespace

Status run(const Activate& op, CudaContext& context) {
  const int64_t count = op.x->numel();
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    T* out = op.out->data<T>();
    const bool aligned = is_aligned(x) && is_aligned(out);
    return launch(activate_dense<T>, dense_grid<T>(count), context, count, aligned, op.activation, op.alpha, x, out);
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
