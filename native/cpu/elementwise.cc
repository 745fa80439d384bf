#include "ops/elementwise.h"

#include <algorithm>
#include <type_traits>

#include "cpu/kernels.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

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

/// The step along the last axis: 0 where there is none, or a size of 1 is repeated.
int64_t last_step(const Tensor* tensor) {
  return tensor->shape.rank() == 0 || tensor->shape[-1] == 1 ? 0 : tensor->strides[-1];
}

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
    if (step == 1) {
      std::copy_n(from, width, to);
    } else {
      for (int64_t i = 0; i < width; ++i) to[i] = from[i * step];
    }
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

float maximum(float a, float b) { return a != a || a > b ? a : b; }
float minimum(float a, float b) { return a != a || a < b ? a : b; }
Vec maximum(Vec a, Vec b) { return select(is_nan(a), a, max(a, b)); }
Vec minimum(Vec a, Vec b) { return select(is_nan(a), a, min(a, b)); }

/// Calls `body` with the function, which takes floats and vectors.
template <typename Body>
void with_function(BinaryKind kind, const Body& body) {
  switch (kind) {
    case BinaryKind::kAdd:
      return body([](auto a, auto b) { return a + b; });
    case BinaryKind::kSub:
      return body([](auto a, auto b) { return a - b; });
    case BinaryKind::kMul:
      return body([](auto a, auto b) { return a * b; });
    case BinaryKind::kDiv:
      return body([](auto a, auto b) { return a / b; });
    case BinaryKind::kMaximum:
      return body([](auto a, auto b) { return maximum(a, b); });
    case BinaryKind::kMinimum:
      return body([](auto a, auto b) { return minimum(a, b); });
  }
}

/// out[i] = function(a[i · a_step], b[i · b_step]), in vectors where the steps are 1, or 0: one number for all.
template <typename T, typename Function>
void apply(const Function& function, const T* a, int64_t a_step, const T* b, int64_t b_step, int64_t count, T* out) {
  if (a_step < 0 || a_step > 1 || b_step < 0 || b_step > 1) {
    for (int64_t i = 0; i < count; ++i) {
      out[i] = from_float<T>(function(to_float(a[i * a_step]), to_float(b[i * b_step])));
    }
    return;
  }
  const Vec all_a = Vec::set(to_float(a[0])), all_b = Vec::set(to_float(b[0]));
  vectors_of(0, count, [&](int64_t i, int lanes) {
    const Vec x = a_step ? Vec::load(a + i, lanes) : all_a, y = b_step ? Vec::load(b + i, lanes) : all_b;
    function(x, y).store(out + i, lanes);
  });
}

template <typename T>
void combine(const Binary& op, KernelContext& context) {
  const T* a = op.a->data<T>();
  const T* b = op.b->data<T>();
  T* out = op.out->data<T>();
  const Shape& shape = op.out->shape;
  with_function(op.kind, [&](auto function) {
    if (op.a->shape == op.b->shape && op.a->is_contiguous() && op.b->is_contiguous()) {
      for_runs(context, shape.numel(), kNsPerElement, [&](int64_t begin, int64_t end) {
        apply(function, a + begin, 1, b + begin, 1, end - begin, out + begin);
      });
      return;
    }
    const int64_t width = shape[-1], a_step = last_step(op.a), b_step = last_step(op.b);
    for_rows(context, shape, 0.5, [&](int64_t row) {
      apply(function, a + row_offset(row, shape, op.a), a_step, b + row_offset(row, shape, op.b), b_step, width,
            out + row * width);
    });
  });
}

template <typename T>
void choose(const Where& op, KernelContext& context) {
  const Shape& shape = op.out->shape;
  const int64_t width = shape.rank() ? shape[-1] : 1;
  const int64_t step = last_step(op.condition), a_step = last_step(op.a), b_step = last_step(op.b);
  for_rows(context, shape, 0.7, [&](int64_t row) {
    const uint8_t* condition = op.condition->data<uint8_t>() + row_offset(row, shape, op.condition);
    const T* a = op.a->data<T>() + row_offset(row, shape, op.a);
    const T* b = op.b->data<T>() + row_offset(row, shape, op.b);
    T* out = op.out->data<T>() + row * width;
    for (int64_t i = 0; i < width; ++i) out[i] = condition[i * step] ? a[i * a_step] : b[i * b_step];
  });
}

/// Calls body(T{}) with an unsigned type of an element's size: for what is only moved.
template <typename Body>
void with_bits_type(DType dtype, const Body& body) {
  switch (size_of(dtype)) {
    case 1:
      return body(uint8_t{});
    case 2:
      return body(uint16_t{});
    default:
      return body(uint32_t{});
  }
}

}  // namespace

void run(const Copy& op, KernelContext& context) {
  with_bits_type(op.x->dtype, [&](auto bits) { copy<decltype(bits)>(op, context); });
}

void run(const Cast& op, KernelContext& context) {
  with_type(op.x->dtype, [&](auto from) {
    with_type(op.out->dtype, [&](auto to) { cast<decltype(from), decltype(to)>(op, context); });
  });
}

void run(const Binary& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { combine<decltype(type)>(op, context); });
}

void run(const Where& op, KernelContext& context) {
  with_bits_type(op.out->dtype, [&](auto bits) { choose<decltype(bits)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
