#include "ops/linear.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

/// A sum of so many products of int8 fits into int32.
constexpr int64_t kLargestQuantized = 131072;

}  // namespace

void check_quantized(const char* function, const Tensor* weight) {
  if (weight->shape[1] > kLargestQuantized) {
    throw_range_error("[", function, "] a quantized weight has at most ", kLargestQuantized, " inputs but got shape ",
                      weight->shape);
  }
}

Tensor* pack(Runtime& runtime, PackPanels op) {
  check_floats(PackPanels::kName, "weight", op.weight);
  check_rank(PackPanels::kName, "weight", op.weight, 2, 2);
  if (is_quantized(op.dtype)) {
    check_quantized(PackPanels::kName, op.weight);
    op.weight = dense(runtime, op.weight);
  } else {
    op.dtype = op.weight->dtype;
  }
  op.out = runtime.make(op.weight, op.dtype, op.weight->shape, Layout::kPanels);
  runtime.submit(op);
  return op.out;
}

Tensor* linear(Runtime& runtime, Linear op) {
  check_floats(Linear::kName, "x", op.x);
  if (!is_quantized(op.weight->dtype)) {
    check_float_dtype(Linear::kName, "weight", op.weight);
    check_same_dtype(Linear::kName, "weight", op.weight, "x", op.x);
  }
  check_rank(Linear::kName, "weight", op.weight, 2, 2);
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  if (op.x->shape[-1] != k) {
    throw_range_error("[linear] x must have shape [..., K=", k, "] to fit weight ", op.weight->shape, " but got ",
                      op.x->shape);
  }
  Shape shape = op.x->shape;
  shape[-1] = n;
  if (op.bias) {
    check_floats_as(Linear::kName, "bias", op.bias, "x", op.x);
    check_shape(Linear::kName, "bias", op.bias, Shape{n});
    op.bias = dense(runtime, op.bias);
  }
  const DType out_dtype = op.float32_out ? DType::kFloat32 : op.x->dtype;
  if (op.residual) {
    check_floats(Linear::kName, "residual", op.residual);
    check_dtype(Linear::kName, "residual", op.residual, out_dtype);
    check_shape(Linear::kName, "residual", op.residual, shape);
    op.residual = dense(runtime, op.residual);
  }
  op.x = dense(runtime, op.x);
  if (op.weight->layout == Layout::kStrided) op.weight = pack(runtime, {op.weight, op.weight->dtype});
  op.out = runtime.make(op.x, out_dtype, shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
