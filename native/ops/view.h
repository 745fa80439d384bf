#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// The same elements, row-major, in another shape: a view where the strides allow, else a copy. Throws RangeError if
/// the number of elements differs.
Tensor* reshape(Runtime& runtime, const Tensor* x, const Shape& shape);
/// A view with two axes exchanged; negative axes count from the end.
Tensor* transpose(Runtime& runtime, const Tensor* x, int64_t a, int64_t b);
/// A view of [begin, end) of an axis.
Tensor* slice(Runtime& runtime, const Tensor* x, int64_t axis, int64_t begin, int64_t end);

/// For ops along the last axis: x with this one in its place, and the result with it back in its own. Views.
const Tensor* with_axis_last(Runtime& runtime, const Tensor* x, int axis);
Tensor* with_axis_back(Runtime& runtime, Tensor* out, int axis);

}  // namespace heddle
