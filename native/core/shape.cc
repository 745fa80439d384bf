#include "core/shape.h"

#include "core/error.h"

namespace heddle {

void append(std::string& text, const Shape& shape) {
  for (int axis = 0; axis < shape.rank(); ++axis) text += (axis ? ", " : "[") + std::to_string(shape[axis]);
  text += shape.rank() > 0 ? "]" : "[]";
}

void check_size(const Shape& shape) {
  double elements = 1;
  for (int64_t size : shape) elements *= static_cast<double>(size > 0 ? size : 1);
  if (elements > 0x1p44) throw_range_error("[heddle] a tensor of shape ", shape, " is larger than any memory");
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides = shape;
  int64_t step = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    strides[axis] = step;
    step *= shape[axis];
  }
  return strides;
}

}  // namespace heddle
