#include "ops/rms_norm.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

RmsNormResult rms_norm(Runtime& runtime, RmsNorm op) {
  check_floats(RmsNorm::kName, "x", op.x);
  if (op.weight) {
    check_floats(RmsNorm::kName, "weight", op.weight);
    check_shape(RmsNorm::kName, "weight", op.weight, Shape{op.x->shape[-1]});
    op.weight = dense(runtime, op.weight);
  }
  if (!(op.eps >= 0) || std::isinf(op.eps)) {
    throw_range_error("[rms_norm] eps must be a finite number of at least 0 but got ", op.eps);
  }
  op.x = dense(runtime, op.x);
  if (op.residual) {
    check_floats(RmsNorm::kName, "residual", op.residual);
    check_shape(RmsNorm::kName, "residual", op.residual, op.x->shape);
    op.residual = dense(runtime, op.residual);
    op.sum = runtime.make(DType::kFloat32, op.x->shape);
  }
  op.out = runtime.make(DType::kFloat32, op.x->shape);
  runtime.submit(op);
  return {op.out, op.sum};
}

}  // namespace heddle
