#include <algorithm>

#include "cuda/activation.h"
#include "cuda/kernels.h"
#include "ops/elementwise.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 256;

/// Blocks for `items`, one a thread and turn: enough to fill the device, then each thread takes several.
Grid grid_for(int64_t items) { return {std::min<int64_t>(ceil_div(items, kThreads), 1 << 16), kThreads}; }

/// Calls body(i) for this thread's share of [0, count).
template <typename Index, typename Body>
HEDDLE_DEVICE void for_each(Index count, const Body& body) {
  const Index step = static_cast<Index>(num_blocks_x() * kThreads);
  for (Index i = static_cast<Index>(block_x() * kThreads + thread_index()); i < count; i += step) body(i);
}

/// The steps of a tensor along the axes of `out`, 0 where a size of 1 is repeated.
struct Steps {
  int64_t along[kMaxRank];
};

struct Sizes {
  int rank;
  int64_t size[kMaxRank];
};

Steps steps_of(const Tensor& x, const Shape& out) {
  Steps steps{};
  for (int axis = 0; axis < out.rank(); ++axis) {
    const int own = axis - (out.rank() - x.shape.rank());
    if (own >= 0 && x.shape[own] != 1) steps.along[axis] = x.strides[own];
  }
  return steps;
}

Sizes sizes_of(const Shape& shape) {
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

template <typename Index, typename T>
HEDDLE_KERNEL(kThreads)
copy_strided(Index count, Sizes sizes, Steps steps, const T* x, T* out) {
  const Steps all[] = {steps};
  for_each_offset<Index>(count, sizes, all, [&](Index i, const int64_t* offsets) { out[i] = x[offsets[0]]; });
}

template <typename Index>
HEDDLE_KERNEL(kThreads)
add_broadcast(Index count, Sizes sizes, Steps a_steps, Steps b_steps, const float* a, const float* b, float* out) {
  const Steps all[] = {a_steps, b_steps};
  for_each_offset<Index>(count, sizes, all,
                         [&](Index i, const int64_t* offsets) { out[i] = a[offsets[0]] + b[offsets[1]]; });
}

HEDDLE_KERNEL(kThreads) add_dense(int64_t count, bool aligned, const float* a, const float* b, float* out) {
  for_each<int64_t>((count + 3) / 4, [&](int64_t four) {
    const int64_t i = four * 4, left = count - i;
    const float4 x = load_four(a + i, left, aligned), y = load_four(b + i, left, aligned);
    store_four(out + i, map_four(x, y, [](float p, float q) { return p + q; }), left, aligned);
  });
}

HEDDLE_KERNEL(kThreads)
activate_dense(int64_t count, bool aligned, Activation activation, const float* x, float* out) {
  for_each<int64_t>((count + 3) / 4, [&](int64_t four) {
    const int64_t i = four * 4, left = count - i;
    const float4 v = load_four(x + i, left, aligned);
    store_four(out + i, map_four(v, [=](float y) { return activate(y, activation); }), left, aligned);
  });
}

HEDDLE_KERNEL(kThreads)
gate_dense(int64_t count, bool aligned, Activation activation, const float* gate, const float* up, float* out) {
  for_each<int64_t>((count + 3) / 4, [&](int64_t four) {
    const int64_t i = four * 4, left = count - i;
    const float4 g = load_four(gate + i, left, aligned), u = load_four(up + i, left, aligned);
    store_four(out + i, map_four(g, u, [=](float a, float b) { return activate(a, activation) * b; }), left, aligned);
  });
}

bool fits_32_bits(int64_t count) { return count < (int64_t{1} << 31); }

template <typename T>
Status copy_elements(const Copy& op, CudaContext& context) {
  const Shape& shape = op.x->shape;
  const int64_t count = shape.numel();
  const Sizes sizes = sizes_of(shape);
  const Steps steps = steps_of(*op.x, shape);
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  if (fits_32_bits(count)) {
    return launch(copy_strided<uint32_t, T>, grid_for(count), context, static_cast<uint32_t>(count), sizes, steps, x,
                  out);
  }
  return launch(copy_strided<uint64_t, T>, grid_for(count), context, static_cast<uint64_t>(count), sizes, steps, x,
                out);
}

}  // namespace

Status run(const Copy& op, CudaContext& context) {
  return size_of(op.x->dtype) == 1 ? copy_elements<uint8_t>(op, context) : copy_elements<uint32_t>(op, context);
}

Status run(const Add& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  const int64_t count = shape.numel();
  const float* a = op.a->data<float>();
  const float* b = op.b->data<float>();
  float* out = op.out->data<float>();
  if (op.a->shape == op.b->shape && op.a->is_contiguous() && op.b->is_contiguous()) {
    const bool aligned = is_aligned(a) && is_aligned(b) && is_aligned(out);
    return launch(add_dense, grid_for(ceil_div(count, 4)), context, count, aligned, a, b, out);
  }
  const Steps a_steps = steps_of(*op.a, shape), b_steps = steps_of(*op.b, shape);
  if (fits_32_bits(count)) {
    return launch(add_broadcast<uint32_t>, grid_for(count), context, static_cast<uint32_t>(count), sizes_of(shape),
                  a_steps, b_steps, a, b, out);
  }
  return launch(add_broadcast<uint64_t>, grid_for(count), context, static_cast<uint64_t>(count), sizes_of(shape),
                a_steps, b_steps, a, b, out);
}

Status run(const Activate& op, CudaContext& context) {
  const float* x = op.x->data<float>();
  float* out = op.out->data<float>();
  const int64_t count = op.x->numel();
  const bool aligned = is_aligned(x) && is_aligned(out);
  return launch(activate_dense, grid_for(ceil_div(count, 4)), context, count, aligned, op.activation, x, out);
}

Status run(const Gated& op, CudaContext& context) {
  const float* gate = op.gate->data<float>();
  const float* up = op.up->data<float>();
  float* out = op.out->data<float>();
  const int64_t count = op.out->numel();
  const bool aligned = is_aligned(gate) && is_aligned(up) && is_aligned(out);
  return launch(gate_dense, grid_for(ceil_div(count, 4)), context, count, aligned, op.activation, gate, up, out);
}

}  // namespace heddle::cuda
