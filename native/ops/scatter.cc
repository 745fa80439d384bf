#include "ops/scatter.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* scatter_rows(Runtime& runtime, ScatterRows op) {
  check_floats(ScatterRows::kName, "x", op.x);
  check_rank(ScatterRows::kName, "x", op.x, 2, 2);
  check_strided(ScatterRows::kName, "index", op.index);
  op.index = dense(runtime, op.index);
  check_int32_vector(ScatterRows::kName, "index", op.index, op.index->numel());
  check_floats_as(ScatterRows::kName, "rows", op.rows, "x", op.x);
  check_shape(ScatterRows::kName, "rows", op.rows, Shape{op.index->numel(), op.x->shape[1]});
  op.x = dense(runtime, op.x);
  op.rows = dense(runtime, op.rows);
  op.out = runtime.make(op.x, op.x->dtype, op.x->shape);
  runtime.submit(op);
  return op.out;
}

void ScatterRows::fail(int64_t at, int32_t row) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[scatter_rows] index[", at, "] must be in [-1, ", x->shape[0], ") but got ", row));
}

Tensor* tensor_scatter(Runtime& runtime, TensorScatter op, int64_t axis) {
  check_strided(TensorScatter::kName, "cache", op.cache);
  check_rank(TensorScatter::kName, "cache", op.cache, 2, kMaxRank);
  op.axis = check_axis(TensorScatter::kName, op.cache, axis);
  if (op.axis == 0) throw_range_error("[tensor_scatter] axis must not be that of the batch but got ", axis);
  check_strided(TensorScatter::kName, "update", op.update);
  check_same_dtype(TensorScatter::kName, "update", op.update, "cache", op.cache);
  Shape shape = op.cache->shape;
  if (op.update->shape.rank() == shape.rank()) shape[op.axis] = op.update->shape[op.axis];
  check_shape(TensorScatter::kName, "update", op.update, shape);
  if (shape[op.axis] > op.cache->shape[op.axis]) {
    throw_range_error("[tensor_scatter] update ", op.update->shape, " is longer than cache ", op.cache->shape,
                      " along axis ", op.axis);
  }
  if (op.first) {
    op.first = dense(runtime, op.first);
    check_int32_vector(TensorScatter::kName, "writeIndices", op.first, shape[0]);
  }
  op.cache = dense(runtime, op.cache);
  op.update = dense(runtime, op.update);
  op.out = runtime.make(op.cache, op.cache->dtype, op.cache->shape);
  runtime.submit(op);
  return op.out;
}

void TensorScatter::fail(int64_t b, int32_t at) const {
  const std::string range = circular ? "at least 0" : concat("in [0, ", cache->shape[axis] - update->shape[axis], "]");
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[tensor_scatter] writeIndices[", b, "] must be ", range, " but got ", at));
}

}  // namespace heddle
