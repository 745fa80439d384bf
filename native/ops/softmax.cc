#include "ops/softmax.h"

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {

Tensor* softmax(Runtime& runtime, Softmax op, int64_t axis) {
  const char* const function = op.log ? "log_softmax" : Softmax::kName;
  check_floats(function, "x", op.x);
  const int at = check_axis(function, op.x, axis);
  op.x = dense(runtime, with_axis_last(runtime, op.x, at));
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return with_axis_back(runtime, op.out, at);
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
