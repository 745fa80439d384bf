#include "ops/top_k.h"

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {

TopKResult top_k(Runtime& runtime, TopK op, int64_t axis) {
  check_strided(TopK::kName, "x", op.x);
  if (op.x->dtype != DType::kInt32) check_float_dtype(TopK::kName, "x", op.x);
  const int at = check_axis(TopK::kName, op.x, axis);
  const int64_t width = op.x->shape[at];
  if (op.k < 0 || op.k > width || width > INT32_MAX) {
    throw_range_error("[top_k] k must be from 0 to the size of axis ", at, " of shape ", op.x->shape, " but got ",
                      op.k);
  }
  op.x = dense(runtime, with_axis_last(runtime, op.x, at));
  Shape shape = op.x->shape;
  shape[-1] = op.k;
  op.values = runtime.make(op.x, op.x->dtype, shape);
  op.indices = runtime.make(op.x, DType::kInt32, shape);
  runtime.submit(op);
  return {with_axis_back(runtime, op.values, at), with_axis_back(runtime, op.indices, at)};
}

}  // namespace heddle
