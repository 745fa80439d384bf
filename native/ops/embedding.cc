#include "ops/embedding.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* embedding(Runtime& runtime, Embedding op) {
  if (!is_quantized(op.table->dtype)) {
    check_float_dtype(Embedding::kName, "table", op.table);
    if (op.dtype != op.table->dtype) {
      throw_range_error("[embedding] dtype must be ", name_of(op.table->dtype), " as table is but got ",
                        name_of(op.dtype), ": see cast");
    }
  }
  check_rank(Embedding::kName, "table", op.table, 2, 2);
  check_strided(Embedding::kName, "ids", op.ids);
  check_dtype(Embedding::kName, "ids", op.ids, DType::kInt32);
  check_rank(Embedding::kName, "ids", op.ids, 0, kMaxRank - 1);
  if (op.table->layout == Layout::kStrided) op.table = dense(runtime, op.table);
  op.ids = dense(runtime, op.ids);
  Shape shape = op.ids->shape;
  shape.push_back(op.table->shape[1]);
  op.out = runtime.make(op.table, op.dtype, shape);
  runtime.submit(op);
  return op.out;
}

void Embedding::fail(int64_t index, int32_t id) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[embedding] ids[", index, "] must be in [0, ", table->shape[0], ") but got ", id));
}

}  // namespace heddle
