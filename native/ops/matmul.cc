#include "ops/matmul.h"

#include "ops/checks.h"

namespace heddle {

Tensor* matmul(Runtime& runtime, Matmul op) {
  check_floats(Matmul::kName, "a", op.a);
  check_floats_as(Matmul::kName, "b", op.b, "a", op.a);
  check_rank(Matmul::kName, "a", op.a, 2, kMaxRank);
  check_rank(Matmul::kName, "b", op.b, 2, kMaxRank);
  const Shape &a = op.a->shape, &b = op.b->shape;
  if (a[-1] != b[-2]) {
    throw_range_error("[matmul] shapes ", a, " and ", b,
                      " do not fit: the last axis of a must be the last but one of b");
  }
  const auto batch_of = [](const Shape& shape) {
    Shape batch;
    for (int axis = 0; axis < shape.rank() - 2; ++axis) batch.push_back(shape[axis]);
    return batch;
  };
  Shape shape = broadcast(Matmul::kName, batch_of(a), batch_of(b));
  shape.push_back(a[-2]);
  shape.push_back(b[-1]);
  check_size(shape);
  op.out = runtime.make(op.a, op.a->dtype, shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
