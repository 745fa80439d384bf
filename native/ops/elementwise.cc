#include "ops/elementwise.h"

#include <algorithm>

#include "ops/checks.h"

namespace heddle {

const Tensor* dense(Runtime& runtime, const Tensor* x) {
  if (x->is_contiguous()) return x;
  Copy op{x};
  op.out = runtime.make(x, x->dtype, x->shape);
  runtime.submit(op);
  return op.out;
}

Tensor* cast(Runtime& runtime, Cast op, DType dtype) {
  check_strided(Cast::kName, "x", op.x);
  if (op.x->dtype == dtype) return runtime.make_view(op.x, op.x->shape, op.x->strides, op.x->offset);
  op.out = runtime.make(op.x, dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

Tensor* add(Runtime& runtime, Add op) {
  check_floats(Add::kName, "a", op.a);
  check_floats_as(Add::kName, "b", op.b, "a", op.a);
  Shape shape;
  const int rank = std::max(op.a->shape.rank(), op.b->shape.rank());
  for (int axis = 0; axis < rank; ++axis) {
    const auto size = [&](const Tensor* t) {
      const int own = axis - (rank - t->shape.rank());
      return own < 0 ? 1 : t->shape[own];
    };
    const int64_t a = size(op.a), b = size(op.b);
    if (a != b && a != 1 && b != 1) {
      throw_range_error("[add] shapes ", op.a->shape, " and ", op.b->shape, " do not broadcast");
    }
    shape.push_back(a == 1 ? b : a);
  }
  op.out = runtime.make(op.a, op.a->dtype, shape);
  runtime.submit(op);
  return op.out;
}

Tensor* activate(Runtime& runtime, Activate op) {
  const char* const function = op.activation == Activation::kSilu   ? "silu"
                               : op.activation == Activation::kRelu ? "relu"
                                                                    : "gelu";
  check_floats(function, "x", op.x);
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

Tensor* gated(Runtime& runtime, Gated op) {
  check_floats(Gated::kName, "gate", op.gate);
  check_floats_as(Gated::kName, "up", op.up, "gate", op.gate);
  check_shape(Gated::kName, "up", op.up, op.gate->shape);
  op.gate = dense(runtime, op.gate);
  op.up = dense(runtime, op.up);
  op.out = runtime.make(op.gate, op.gate->dtype, op.gate->shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
