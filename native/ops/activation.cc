#include "ops/activation.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* activate(Runtime& runtime, const char* function, Activate op) {
  check_floats(function, "x", op.x);
  if (!std::isfinite(op.alpha)) throw_range_error("[", function, "] alpha must be a finite number but got ", op.alpha);
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op, function);
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
