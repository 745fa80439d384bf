#pragma once

#include <algorithm>
#include <cmath>

#include "core/runtime.h"

namespace heddle {

/// Argument checks shared by the ops. Each names the function and the argument and gives what was found.

inline void check_dtype(const char* function, const char* argument, const Tensor* tensor, DType dtype) {
  if (tensor->dtype != dtype) {
    throw_type_error("[", function, "] ", argument, " must be ", name_of(dtype), " but got ", name_of(tensor->dtype));
  }
}

/// For ops that cannot read a weight packed for `linear`.
inline void check_strided(const char* function, const char* argument, const Tensor* tensor) {
  if (tensor->layout != Layout::kStrided) {
    throw_type_error("[", function, "] ", argument, " is packed for linear and cannot be read here");
  }
}

inline void check_rank(const char* function, const char* argument, const Tensor* tensor, int low, int high) {
  if (tensor->shape.rank() < low || tensor->shape.rank() > high) {
    throw_range_error("[", function, "] ", argument, " must have ", low,
                      low == high ? std::string() : concat(" to ", high), " axes but got shape ", tensor->shape);
  }
}

inline void check_shape(const char* function, const char* argument, const Tensor* tensor, const Shape& shape) {
  if (tensor->shape != shape) {
    throw_range_error("[", function, "] ", argument, " must have shape ", shape, " but got ", tensor->shape);
  }
}

/// For what kernels index without strides.
inline void check_dense(const char* function, const char* argument, const Tensor* tensor) {
  if (!tensor->is_contiguous()) throw_range_error("[", function, "] ", argument, " must be dense, not a strided view");
}

inline void check_float_dtype(const char* function, const char* argument, const Tensor* tensor) {
  if (!is_float(tensor->dtype)) {
    throw_type_error("[", function, "] ", argument, " must be float32, float16 or bfloat16 but got ",
                     name_of(tensor->dtype));
  }
}

/// The common case: a strided tensor of floats, of at least one axis.
inline void check_floats(const char* function, const char* argument, const Tensor* tensor) {
  check_strided(function, argument, tensor);
  check_float_dtype(function, argument, tensor);
  check_rank(function, argument, tensor, 1, kMaxRank);
}

/// There is no promotion: `other` has been checked and sets the dtype.
inline void check_same_dtype(const char* function, const char* argument, const Tensor* tensor, const char* other_name,
                             const Tensor* other) {
  if (tensor->dtype != other->dtype) {
    throw_type_error("[", function, "] ", argument, " must be ", name_of(other->dtype), " as ", other_name,
                     " is but got ", name_of(tensor->dtype), ": see cast");
  }
}

/// Floats of the dtype of `other`.
inline void check_floats_as(const char* function, const char* argument, const Tensor* tensor, const char* other_name,
                            const Tensor* other) {
  check_floats(function, argument, tensor);
  check_same_dtype(function, argument, tensor, other_name, other);
}

/// Of a result, with NumPy's broadcasting: axes are aligned at the last, and a size of 1 is repeated.
inline Shape broadcast(const char* function, const Shape& a, const Shape& b) {
  Shape shape;
  const int rank = std::max(a.rank(), b.rank());
  for (int axis = rank; axis > 0; --axis) {
    const int64_t of_a = axis > a.rank() ? 1 : a[-axis], of_b = axis > b.rank() ? 1 : b[-axis];
    if (of_a != of_b && of_a != 1 && of_b != 1) {
      throw_range_error("[", function, "] shapes ", a, " and ", b, " do not broadcast");
    }
    shape.push_back(of_a == 1 ? of_b : of_a);
  }
  return shape;
}

/// Negative axes count from the end.
inline int check_axis(const char* function, const Tensor* x, int64_t axis) {
  const int rank = x->shape.rank();
  if (axis < -rank || axis >= rank) {
    throw_range_error("[", function, "] axis ", axis, " is outside the shape ", x->shape);
  }
  return static_cast<int>(axis < 0 ? axis + rank : axis);
}

/// What norms add to a variance or a mean of squares.
inline void check_eps(const char* function, float eps) {
  if (!(eps >= 0) || std::isinf(eps)) {
    throw_range_error("[", function, "] eps must be a finite number of at least 0 but got ", eps);
  }
}

/// A dense vector [count] of int32: lengths, positions, offsets.
inline void check_int32_vector(const char* function, const char* argument, const Tensor* tensor, int64_t count) {
  check_strided(function, argument, tensor);
  check_dtype(function, argument, tensor, DType::kInt32);
  check_shape(function, argument, tensor, Shape{count});
  check_dense(function, argument, tensor);
}

/// The same of float32.
inline void check_float32_vector(const char* function, const char* argument, const Tensor* tensor, int64_t count) {
  check_strided(function, argument, tensor);
  check_dtype(function, argument, tensor, DType::kFloat32);
  check_shape(function, argument, tensor, Shape{count});
  check_dense(function, argument, tensor);
}

/// Scores of a vocabulary that is not empty: [N, V] float32.
inline void check_logits(const char* function, const Tensor* logits) {
  check_strided(function, "logits", logits);
  check_dtype(function, "logits", logits, DType::kFloat32);
  check_rank(function, "logits", logits, 2, 2);
  if (logits->shape[1] == 0) throw_range_error("[", function, "] logits have no tokens: shape ", logits->shape);
}

}  // namespace heddle
