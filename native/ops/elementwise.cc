#include "ops/elementwise.h"

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

Tensor* binary(Runtime& runtime, const char* function, Binary op) {
  check_floats(function, "a", op.a);
  check_floats_as(function, "b", op.b, "a", op.a);
  op.out = runtime.make(op.a, op.a->dtype, broadcast(function, op.a->shape, op.b->shape));
  runtime.submit(op, function);
  return op.out;
}

Tensor* where(Runtime& runtime, Where op) {
  check_strided(Where::kName, "condition", op.condition);
  check_dtype(Where::kName, "condition", op.condition, DType::kBool);
  check_strided(Where::kName, "a", op.a);
  check_strided(Where::kName, "b", op.b);
  check_same_dtype(Where::kName, "b", op.b, "a", op.a);
  const Shape shape = broadcast(Where::kName, op.a->shape, op.b->shape);
  op.out = runtime.make(op.a, op.a->dtype, broadcast(Where::kName, op.condition->shape, shape));
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
