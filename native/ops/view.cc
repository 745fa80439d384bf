#include "ops/view.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

/// Strides that give x the new shape without a copy; false if there are none. Axes of x that lie densely one inside
/// the other are one run, and each new axis must divide a run.
bool view_strides(const Tensor* x, const Shape& shape, Shape* strides) {
  *strides = contiguous_strides(shape);
  int axis = shape.rank() - 1;
  int from = x->shape.rank() - 1;
  while (from >= 0) {
    if (x->shape[from] == 1) {
      --from;
      continue;
    }
    int64_t run = x->shape[from];
    const int64_t step = x->strides[from];
    int outer = from - 1;
    while (outer >= 0 && (x->shape[outer] == 1 || x->strides[outer] == step * run)) run *= x->shape[outer--];
    int64_t taken = 1;
    while (axis >= 0 && taken < run) {
      (*strides)[axis] = step * taken;
      taken *= shape[axis--];
    }
    if (taken != run) return false;
    from = outer;
  }
  return true;
}

}  // namespace

Tensor* reshape(Runtime& runtime, const Tensor* x, const Shape& shape) {
  check_strided("reshape", "x", x);
  if (shape.numel() != x->numel()) {
    throw_range_error("[reshape] shape ", x->shape, " has ", x->numel(), " elements but ", shape, " has ",
                      shape.numel());
  }
  Shape strides;
  if (x->numel() == 0 || view_strides(x, shape, &strides)) {
    return runtime.make_view(x, shape, x->numel() == 0 ? contiguous_strides(shape) : strides, x->offset);
  }
  const Tensor* copy = dense(runtime, x);
  return runtime.make_view(copy, shape, contiguous_strides(shape), copy->offset);
}

Tensor* transpose(Runtime& runtime, const Tensor* x, int64_t a, int64_t b) {
  check_strided("transpose", "x", x);
  const int first = check_axis("transpose", x, a), second = check_axis("transpose", x, b);
  Shape shape = x->shape, strides = x->strides;
  std::swap(shape[first], shape[second]);
  std::swap(strides[first], strides[second]);
  return runtime.make_view(x, shape, strides, x->offset);
}

const Tensor* with_axis_last(Runtime& runtime, const Tensor* x, int axis) {
  return axis == x->shape.rank() - 1 ? x : transpose(runtime, x, axis, -1);
}

Tensor* with_axis_back(Runtime& runtime, Tensor* out, int axis) {
  return axis == out->shape.rank() - 1 ? out : transpose(runtime, out, axis, -1);
}

Tensor* slice(Runtime& runtime, const Tensor* x, int64_t axis, int64_t begin, int64_t end) {
  check_strided("slice", "x", x);
  const int at = check_axis("slice", x, axis);
  if (begin < 0 || end < begin || end > x->shape[at]) {
    throw_range_error("[slice] [", begin, ", ", end, ") is outside axis ", at, " of shape ", x->shape);
  }
  Shape shape = x->shape;
  shape[at] = end - begin;
  return runtime.make_view(x, shape, x->strides, x->offset + begin * x->strides[at]);
}

}  // namespace heddle
