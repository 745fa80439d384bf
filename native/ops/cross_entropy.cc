#include "ops/cross_entropy.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* cross_entropy(Runtime& runtime, CrossEntropy op, bool mean) {
  check_floats(CrossEntropy::kName, "logits", op.logits);
  Shape rows;
  for (int axis = 0; axis + 1 < op.logits->shape.rank(); ++axis) rows.push_back(op.logits->shape[axis]);
  check_strided(CrossEntropy::kName, "labels", op.labels);
  check_dtype(CrossEntropy::kName, "labels", op.labels, DType::kInt32);
  check_shape(CrossEntropy::kName, "labels", op.labels, rows);
  if (!(op.smoothing >= 0 && op.smoothing <= 1)) {
    throw_range_error("[cross_entropy] labelSmoothing must be from 0 to 1 but got ", op.smoothing);
  }
  op.logits = dense(runtime, op.logits);
  op.labels = dense(runtime, op.labels);
  op.losses = runtime.make(op.logits, DType::kFloat32, rows);
  if (mean) op.mean = runtime.make(op.logits, DType::kFloat32, Shape{});
  runtime.submit(op);
  return mean ? op.mean : op.losses;
}

void CrossEntropy::fail(int64_t at, int32_t label) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[cross_entropy] labels[", at, "] must be ", ignored, " or in [0, ", logits->shape[-1],
                     ") but got ", label));
}

}  // namespace heddle
