#include "ops/rope.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

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

Tensor* rotate(Runtime& runtime, Rotate op) {
  check_floats(Rotate::kName, "x", op.x);
  check_rank(Rotate::kName, "x", op.x, 4, 4);
  const int64_t batch = op.x->shape[0], tokens = op.x->shape[2], width = op.x->shape[3];
  check_floats(Rotate::kName, "cos", op.cosine);
  check_floats(Rotate::kName, "sin", op.sine);
  const Shape& table = op.cosine->shape;
  const int64_t pairs = table[-1];
  if (op.positions) {
    check_rank(Rotate::kName, "cos", op.cosine, 2, 2);
    check_strided(Rotate::kName, "positions", op.positions);
    check_dtype(Rotate::kName, "positions", op.positions, DType::kInt32);
    check_shape(Rotate::kName, "positions", op.positions, Shape{batch, tokens});
    op.positions = dense(runtime, op.positions);
  } else {
    check_rank(Rotate::kName, "cos", op.cosine, 2, 3);
    check_shape(Rotate::kName, "cos", op.cosine,
                table.rank() == 2 ? Shape{tokens, pairs} : Shape{batch, tokens, pairs});
    op.batch_step = table.rank() == 2 ? 0 : tokens;
  }
  check_shape(Rotate::kName, "sin", op.sine, table);
  if (2 * pairs > width) {
    throw_range_error("[rotate] cos ", table, " has too many pairs for heads of width ", width);
  }
  for (const Tensor** values : {&op.cosine, &op.sine}) {
    *values = dense(runtime, cast(runtime, Cast{*values}, DType::kFloat32));
    if (table.rank() == 3) *values = reshape(runtime, *values, Shape{batch * tokens, pairs});
  }
  if (width > 1 && op.x->strides[3] != 1) op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

void Rotate::fail(int64_t at, int32_t position) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[rotate] positions[", at / x->shape[2], ", ", at % x->shape[2], "] must be in [0, ",
                     cosine->shape[0], ") but got ", position));
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
