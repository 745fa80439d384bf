#include "ops/rms_norm.h"

#include "ops/norm_axes.h"

namespace heddle {

RmsNormResult rms_norm(Runtime& runtime, RmsNorm op, int64_t axis) {
  check_floats(RmsNorm::kName, "x", op.x);
  const NormAxes over(runtime, RmsNorm::kName, op.x, axis);
  const Tensor* const x = op.x;
  if (op.weight) op.weight = over.vector("weight", op.weight, x);
  check_eps(RmsNorm::kName, op.eps);
  op.x = over.rows(x);
  if (op.residual) {
    check_floats_as(RmsNorm::kName, "residual", op.residual, "x", x);
    check_shape(RmsNorm::kName, "residual", op.residual, x->shape);
    op.residual = over.rows(op.residual);
    op.sum = runtime.make(x, x->dtype, x->shape);
  }
  op.out = runtime.make(x, x->dtype, x->shape);
  runtime.submit(op);
  return {op.out, op.sum};
}

}  // namespace heddle
