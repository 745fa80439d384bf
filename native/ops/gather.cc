#include "ops/gather.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* gather_rows(Runtime& runtime, GatherRows op) {
  if (!is_float(op.x->dtype) && op.x->dtype != DType::kInt32) {
    throw_type_error("[gather_rows] x must be float32, float16, bfloat16 or int32 but got ", name_of(op.x->dtype));
  }
  check_strided(GatherRows::kName, "x", op.x);
  check_rank(GatherRows::kName, "x", op.x, 2, 2);
  check_strided(GatherRows::kName, "index", op.index);
  op.index = dense(runtime, op.index);
  check_int32_vector(GatherRows::kName, "index", op.index, op.index->numel());
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, op.x->dtype, Shape{op.index->numel(), op.x->shape[1]});
  runtime.submit(op);
  return op.out;
}

void GatherRows::fail(int64_t at, int32_t row) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[gather_rows] index[", at, "] must be in [-1, ", x->shape[0], ") but got ", row));
}

}  // namespace heddle
