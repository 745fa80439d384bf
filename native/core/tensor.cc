#include "core/tensor.h"

namespace heddle {

bool Tensor::is_contiguous() const {
  if (layout != Layout::kStrided) return false;
  const Shape dense = contiguous_strides(shape);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != 1 && strides[axis] != dense[axis]) return false;  // the stride of a size of 1 is never used
  }
  return true;
}

}  // namespace heddle
