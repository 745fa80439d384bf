#include "ops/softmax.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* softmax(Runtime& runtime, Softmax op) {
  check_floats(op.log ? "log_softmax" : Softmax::kName, "x", op.x);
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

Tensor* argmax(Runtime& runtime, Argmax op) {
  check_floats(Argmax::kName, "x", op.x);
  if (op.x->shape[-1] == 0) throw_range_error("[argmax] the last axis of x is empty: shape ", op.x->shape);
  op.x = dense(runtime, op.x);
  Shape shape;
  for (int axis = 0; axis + 1 < op.x->shape.rank(); ++axis) shape.push_back(op.x->shape[axis]);
  op.out = runtime.make(op.x, DType::kInt32, shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
