#include "ops/rms_norm.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

RmsNormResult rms_norm(Runtime& runtime, RmsNorm op) {
  check_floats(RmsNorm::kName, "x", op.x);
  if (op.weight) {
    check_floats_as(RmsNorm::kName, "weight", op.weight, "x", op.x);
    check_shape(RmsNorm::kName, "weight", op.weight, Shape{op.x->shape[-1]});
    op.weight = dense(runtime, op.weight);
  }
  check_eps(RmsNorm::kName, op.eps);
  op.x = dense(runtime, op.x);
  if (op.residual) {
    check_floats_as(RmsNorm::kName, "residual", op.residual, "x", op.x);
    check_shape(RmsNorm::kName, "residual", op.residual, op.x->shape);
    op.residual = dense(runtime, op.residual);
    op.sum = runtime.make(op.x, op.x->dtype, op.x->shape);
  }
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return {op.out, op.sum};
}

}  // namespace heddle
