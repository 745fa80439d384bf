#pragma once

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

}  // namespace heddle
