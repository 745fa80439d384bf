#include "ops/random.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

void check_counter(const char* function, const Tensor* seed, const Tensor* step) {
  check_int32_vector(function, "seed", seed, 2);
  check_int32_vector(function, "step", step, 1);
}

}  // namespace

Tensor* random(Runtime& runtime, Random op, DType dtype, const Shape& shape) {
  const bool uniform = op.distribution == Distribution::kUniform;
  const char* const function = uniform ? "random.uniform" : "random.normal";
  check_counter(function, op.seed, op.step);
  if (!is_float(dtype)) {
    throw_type_error("[", function, "] dtype must be float32, float16 or bfloat16 but got ", name_of(dtype));
  }
  if (!std::isfinite(op.first) || !std::isfinite(op.second) || (uniform ? op.second < op.first : op.second < 0)) {
    throw_range_error("[", function, "] ", uniform ? "low and high" : "mean and std",
                      " must be finite numbers in order but got ", op.first, " and ", op.second);
  }
  op.out = runtime.make(op.seed, dtype, shape);
  runtime.submit(op);
  return op.out;
}

Tensor* dropout(Runtime& runtime, Dropout op) {
  check_strided(Dropout::kName, "x", op.x);
  check_float_dtype(Dropout::kName, "x", op.x);
  check_counter(Dropout::kName, op.seed, op.step);
  if (!(op.p >= 0 && op.p <= 1)) throw_range_error("[dropout] p must be in [0, 1] but got ", op.p);
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

Tensor* orthogonalize(Runtime& runtime, Orthogonalize op) {
  check_strided(Orthogonalize::kName, "x", op.x);
  check_dtype(Orthogonalize::kName, "x", op.x, DType::kFloat32);
  check_rank(Orthogonalize::kName, "x", op.x, 3, 3);
  if (op.x->shape[1] > op.x->shape[2]) {
    throw_range_error("[orthogonalize] x must have no more rows than columns but got shape ", op.x->shape);
  }
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, DType::kFloat32, op.x->shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
