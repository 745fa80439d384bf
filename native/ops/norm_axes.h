#pragma once

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {

/// What a norm goes over: the axes of x from `axis` on, which kernels see as one.
class NormAxes {
 public:
  NormAxes(Runtime& runtime, const char* function, const Tensor* x, int64_t axis)
      : runtime_(runtime), function_(function), shape_(x->shape), axis_(check_axis(function, x, axis)) {
    for (int i = axis_; i < shape_.rank(); ++i) row_.push_back(shape_[i]);
  }

  /// x or a residual: [rows, width] where the last axis is not all of a row, in any case dense.
  const Tensor* rows(const Tensor* x) const {
    x = dense(runtime_, x);
    if (axis_ == shape_.rank() - 1) return x;
    const int64_t width = row_.numel();
    return reshape(runtime_, x, Shape{width == 0 ? 0 : shape_.numel() / width, width});
  }

  /// A weight or bias, checked: dense.
  const Tensor* vector(const char* argument, const Tensor* tensor, const Tensor* x) const {
    check_floats_as(function_, argument, tensor, "x", x);
    check_shape(function_, argument, tensor, row_);
    return dense(runtime_, tensor);
  }

  /// For a number a row, in float32: x's shape with 1 for each axis that is normalized.
  Tensor* make_stats(const Tensor* x) const {
    Shape shape = shape_;
    for (int i = axis_; i < shape.rank(); ++i) shape[i] = 1;
    return runtime_.make(x, DType::kFloat32, shape);
  }

 private:
  Runtime& runtime_;
  const char* function_;
  Shape shape_;
  int axis_;
  Shape row_;
};

}  // namespace heddle
