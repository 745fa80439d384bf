#include "ops/layer_norm.h"

#include "ops/norm_axes.h"

namespace heddle {

LayerNormResult layer_norm(Runtime& runtime, LayerNorm op, int64_t axis, bool stats) {
  check_floats(LayerNorm::kName, "x", op.x);
  const NormAxes over(runtime, LayerNorm::kName, op.x, axis);
  const Tensor* const x = op.x;
  if (op.weight) op.weight = over.vector("weight", op.weight, x);
  if (op.bias) op.bias = over.vector("bias", op.bias, x);
  check_eps(LayerNorm::kName, op.eps);
  op.x = over.rows(x);
  if (op.residual) {
    check_floats_as(LayerNorm::kName, "residual", op.residual, "x", x);
    check_shape(LayerNorm::kName, "residual", op.residual, x->shape);
    op.residual = over.rows(op.residual);
    op.sum = runtime.make(x, x->dtype, x->shape);
  }
  op.out = runtime.make(x, x->dtype, x->shape);
  if (stats) {
    op.mean = over.make_stats(x);
    op.inverse_deviation = over.make_stats(x);
  }
  runtime.submit(op);
  return {op.out, op.sum, op.mean, op.inverse_deviation};
}

}  // namespace heddle
