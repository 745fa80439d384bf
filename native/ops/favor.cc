#include "ops/favor.h"

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/key_padding.h"
#include "ops/linear.h"

namespace heddle {

Tensor* favor_features(Runtime& runtime, FavorFeatures op, const Tensor* projection) {
  const char* const name = FavorFeatures::kName;
  check_floats(name, "x", op.x);
  check_rank(name, "x", op.x, 4, 4);
  check_strided(name, "projection", projection);
  check_dtype(name, "projection", projection, DType::kFloat32);
  check_rank(name, "projection", projection, 2, 2);
  check_shape(name, "projection", projection, Shape{projection->shape[0], op.x->shape[3]});
  if (op.padding) check_key_padding(name, op.padding, op.x->shape[0], op.x->shape[2]);
  check_eps(name, op.eps);
  if (op.x->shape[3] > 1 && op.x->strides[3] != 1) op.x = dense(runtime, op.x);
  // In float32 whatever the dtype: an error of a power's exponent is a factor of the power.
  op.products =
      linear(runtime, Linear{cast(runtime, {op.x}, DType::kFloat32), projection, nullptr, nullptr, Activation::kNone});
  op.out = runtime.make(op.x, op.x->dtype, op.products->shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
