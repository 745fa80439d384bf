#include "ops/rope.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* rope(Runtime& runtime, Rope op) {
  check_floats(Rope::kName, "x", op.x);
  check_rank(Rope::kName, "x", op.x, 3, 3);
  check_int32_vector(Rope::kName, "positions", op.positions, op.x->shape[0]);
  check_floats(Rope::kName, "frequencies", op.frequencies);
  check_dtype(Rope::kName, "frequencies", op.frequencies, DType::kFloat32);
  check_rank(Rope::kName, "frequencies", op.frequencies, 1, 1);
  check_dense(Rope::kName, "frequencies", op.frequencies);
  if (2 * op.frequencies->shape[0] > op.x->shape[2]) {
    throw_range_error("[rope] frequencies ", op.frequencies->shape, " are too many for heads of width ",
                      op.x->shape[2]);
  }
  if (!std::isfinite(op.factor)) throw_range_error("[rope] factor must be a finite number but got ", op.factor);
  if (op.x->shape[2] > 1 && op.x->strides[2] != 1) op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

Tensor* dynamic_frequencies(Runtime& runtime, DynamicFrequencies op) {
  check_int32_vector(DynamicFrequencies::kName, "last", op.last, op.last->numel());
  if (op.rotary_width < 4 || op.rotary_width % 2 != 0 || op.max_positions < 1 || !(op.base > 0) || !(op.factor >= 1)) {
    throw_range_error("[dynamic_frequencies] base ", op.base, ", factor ", op.factor, ", maxPositions ",
                      op.max_positions, " and rotary width ", op.rotary_width, " do not make frequencies");
  }
  op.out = runtime.make(op.last, DType::kFloat32, Shape{op.rotary_width / 2});
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
