#include "ops/reduce.h"

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {

Tensor* reduce(Runtime& runtime, const char* function, Reduce op, std::optional<int64_t> axis, bool keep) {
  check_floats(function, "x", op.x);
  const Shape& given = op.x->shape;
  const int at = axis ? check_axis(function, op.x, *axis) : 0;
  Shape shape;
  for (int i = 0; i < given.rank(); ++i) {
    const bool reduced = !axis || i == at;
    if (keep || !reduced) shape.push_back(reduced ? 1 : given[i]);
  }
  op.x = dense(runtime, axis ? with_axis_last(runtime, op.x, at) : reshape(runtime, op.x, Shape{given.numel()}));
  Shape rows = op.x->shape;
  rows[-1] = 1;
  op.out = runtime.make(op.x, op.x->dtype, rows);
  runtime.submit(op, function);
  return reshape(runtime, with_axis_back(runtime, op.out, at), shape);
}

}  // namespace heddle
