#include "ops/layer_norm.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

LayerNormResult layer_norm(Runtime& runtime, LayerNorm op) {
  check_floats(LayerNorm::kName, "x", op.x);
  const int64_t width = op.x->shape[-1];
  for (const auto& [name, vector] : {std::pair{"weight", &op.weight}, std::pair{"bias", &op.bias}}) {
    if (!*vector) continue;
    check_floats_as(LayerNorm::kName, name, *vector, "x", op.x);
    check_shape(LayerNorm::kName, name, *vector, Shape{width});
    *vector = dense(runtime, *vector);
  }
  check_eps(LayerNorm::kName, op.eps);
  op.x = dense(runtime, op.x);
  if (op.residual) {
    check_floats_as(LayerNorm::kName, "residual", op.residual, "x", op.x);
    check_shape(LayerNorm::kName, "residual", op.residual, op.x->shape);
    op.residual = dense(runtime, op.residual);
    op.sum = runtime.make(op.x, op.x->dtype, op.x->shape);
  }
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return {op.out, op.sum};
}

}  // namespace heddle
