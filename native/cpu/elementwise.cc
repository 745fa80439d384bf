#include "ops/elementwise.h"

#include <algorithm>
#include <type_traits>

#include "cpu/activation.h"
#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr int64_t kTileElements = 16384;  // of an element-wise op: 64 KiB
constexpr double kNsPerElement = 0.1;

/// Calls body(begin, end) for runs of [0, count).
template <typename Body>
void for_runs(KernelContext& context, int64_t count, double ns_per_element, const Body& body) {
  const int64_t tiles = (count + kTileElements - 1) / kTileElements;
  context.parallel_for(tiles, ns_per_element * kTileElements,
                       [&](int64_t tile) { body(tile * kTileElements, std::min(count, (tile + 1) * kTileElements)); });
}

/// Calls body(i, lanes) for the vectors of [begin, end).
template <typename Body>
void vectors_of(int64_t begin, int64_t end, const Body& body) {
  for (int64_t i = begin; i < end; i += Vec::kWidth) {
    body(i, static_cast<int>(std::min<int64_t>(Vec::kWidth, end - i)));
  }
}

/// The same for [0, count), in parallel.
template <typename Body>
void for_vectors(KernelContext& context, int64_t count, double ns_per_element, const Body& body) {
  for_runs(context, count, ns_per_element, [&](int64_t begin, int64_t end) { vectors_of(begin, end, body); });
}

/// Offset of row-major element `index` of `shape` (its last axis left out) in a tensor of the given strides, axes
/// aligned at the last.
int64_t row_offset(int64_t index, const Shape& shape, const Tensor* tensor) {
  int64_t offset = 0;
  for (int axis = shape.rank() - 2; axis >= 0; --axis) {
    const int64_t at = index % shape[axis];
    index /= shape[axis];
    const int own = axis - (shape.rank() - tensor->shape.rank());
    if (own >= 0 && tensor->shape[own] != 1) offset += at * tensor->strides[own];
  }
  return offset;
}

/// The step along the last axis: 0 where a size of 1 is repeated.
int64_t last_stride(const Tensor* tensor) { return tensor->shape[-1] == 1 ? 0 : tensor->strides[-1]; }

/// Calls body(row) for the rows of a tensor: all axes but the last.
template <typename Body>
void for_rows(KernelContext& context, const Shape& shape, double ns_per_element, const Body& body) {
  if (shape.numel() == 0) return;
  const int64_t width = shape.rank() ? shape[-1] : 1;
  context.parallel_for(shape.numel() / width, static_cast<double>(width) * ns_per_element, body);
}

template <typename T>
void copy(const Copy& op, KernelContext& context) {
  const Shape& shape = op.x->shape;
  const int64_t width = shape.rank() ? shape[-1] : 1, step = shape.rank() ? op.x->strides[-1] : 1;
  for_rows(context, shape, 0.5, [&](int64_t row) {
    const T* from = op.x->data<T>() + row_offset(row, shape, op.x);
    T* to = op.out->data<T>() + row * width;
    for (int64_t i = 0; i < width; ++i) to[i] = from[i * step];
  });
}

template <typename T>
constexpr bool kIsWhole = std::is_integral_v<T>;  // int32, and uint8_t, which holds a bool

/// A whole number as a float that rounds to a To as it itself does: once it has more bits than a float32 takes, the
/// last bit kept tells whether any that are cut were set.
template <typename To>
float widen_whole(int32_t x) {
  constexpr int32_t kExact = 1 << 24;
  if (std::is_same_v<To, float> || (-kExact <= x && x <= kExact)) return static_cast<float>(x);
  return static_cast<float>((x & ~0xFF) | ((x & 0xFF) != 0 ? 0x100 : 0));
}

int32_t cut(float x) {
  if (x != x) return 0;
  if (x >= 0x1p31f) return INT32_MAX;
  return x < -0x1p31f ? INT32_MIN : static_cast<int32_t>(x);
}

template <typename To, typename From>
To convert(From x) {
  if constexpr (std::is_same_v<To, uint8_t> && kIsWhole<From>) {
    return x != 0;
  } else if constexpr (std::is_same_v<To, uint8_t>) {
    return to_float(x) != 0.0f;
  } else if constexpr (kIsWhole<To> && kIsWhole<From>) {
    return x;
  } else if constexpr (kIsWhole<To>) {
    return cut(to_float(x));
  } else if constexpr (kIsWhole<From>) {
    return from_float<To>(widen_whole<To>(x));
  } else {
    return from_float<To>(to_float(x));
  }
}

template <typename From, typename To>
void cast(const Cast& op, KernelContext& context) {
  const From* x = op.x->data<From>();
  To* out = op.out->data<To>();
  if constexpr (!kIsWhole<From> && !kIsWhole<To>) {
    if (op.x->is_contiguous()) {
      for_vectors(context, op.x->numel(), kNsPerElement,
                  [&](int64_t i, int lanes) { Vec::load(x + i, lanes).store(out + i, lanes); });
      return;
    }
  }
  const Shape& shape = op.x->shape;
  const int64_t width = shape.rank() ? shape[-1] : 1, step = shape.rank() ? op.x->strides[-1] : 1;
  for_rows(context, shape, 1.0, [&](int64_t row) {
    const From* from = x + row_offset(row, shape, op.x);
    for (int64_t i = 0; i < width; ++i) out[row * width + i] = convert<To>(from[i * step]);
  });
}

/// body(T{}) with the C++ type of any dtype.
template <typename Body>
void with_type(DType dtype, const Body& body) {
  if (is_float(dtype)) return with_float_type(dtype, body);
  if (dtype == DType::kInt32) return body(int32_t{});
  return body(uint8_t{});
}

template <typename T>
void add_run(const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t count, T* out) {
  if constexpr (!std::is_same_v<T, float>) {  // compilers make vectors of the plain loop for floats only
    if (a_step == 1 && b_step == 1) {
      vectors_of(0, count, [&](int64_t i, int lanes) {
        (Vec::load(a + i, lanes) + Vec::load(b + i, lanes)).store(out + i, lanes);
      });
      return;
    }
  }
  for (int64_t i = 0; i < count; ++i) out[i] = from_float<T>(to_float(a[i * a_step]) + to_float(b[i * b_step]));
}

template <typename T>
void add(const Add& op, KernelContext& context) {
  const T* a = op.a->data<T>();
  const T* b = op.b->data<T>();
  T* out = op.out->data<T>();
  const Shape& shape = op.out->shape;
  if (op.a->shape == op.b->shape && op.a->is_contiguous() && op.b->is_contiguous()) {
    for_runs(context, shape.numel(), kNsPerElement,
             [&](int64_t begin, int64_t end) { add_run(a + begin, 1, b + begin, 1, end - begin, out + begin); });
    return;
  }
  const int64_t width = shape[-1], a_step = last_stride(op.a), b_step = last_stride(op.b);
  for_rows(context, shape, 0.5, [&](int64_t row) {
    const T* from_a = a + row_offset(row, shape, op.a);
    const T* from_b = b + row_offset(row, shape, op.b);
    add_run(from_a, a_step, from_b, b_step, width, out + row * width);
  });
}

template <typename T>
void activate(const Activate& op, KernelContext& context) {
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  with_activation(op.activation, [&](auto function) {
    for_vectors(context, op.x->numel(), 1.0,
                [&](int64_t i, int lanes) { function(Vec::load(x + i, lanes)).store(out + i, lanes); });
  });
}

template <typename T>
void gate(const Gated& op, KernelContext& context) {
  const T* gate = op.gate->data<T>();
  const T* up = op.up->data<T>();
  T* out = op.out->data<T>();
  with_activation(op.activation, [&](auto function) {
    for_vectors(context, op.out->numel(), 1.0, [&](int64_t i, int lanes) {
      (function(Vec::load(gate + i, lanes)) * Vec::load(up + i, lanes)).store(out + i, lanes);
    });
  });
}

}  // namespace

void run(const Copy& op, KernelContext& context) {
  switch (size_of(op.x->dtype)) {
    case 1:
      return copy<uint8_t>(op, context);
    case 2:
      return copy<uint16_t>(op, context);
    default:
      return copy<uint32_t>(op, context);
  }
}

void run(const Cast& op, KernelContext& context) {
  with_type(op.x->dtype, [&](auto from) {
    with_type(op.out->dtype, [&](auto to) { cast<decltype(from), decltype(to)>(op, context); });
  });
}

void run(const Add& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { add<decltype(type)>(op, context); });
}

void run(const Activate& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { activate<decltype(type)>(op, context); });
}

void run(const Gated& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { gate<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
