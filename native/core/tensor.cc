#include "core/tensor.h"

#include "core/quantized.h"

namespace heddle {

size_t bytes_of(DType dtype, const Shape& shape, Layout layout) {
  int64_t elements = shape.numel();
  if (layout == Layout::kPanels) {
    const int64_t panels = (shape[0] + kPanelWidth - 1) / kPanelWidth;
    if (is_quantized(dtype)) return static_cast<size_t>(panels * panel_bytes(dtype, shape[1]));
    elements = panels * kPanelWidth * shape[1];
  }
  return static_cast<size_t>(elements) * size_of(dtype);
}

bool Tensor::is_contiguous() const {
  if (layout != Layout::kStrided) return false;
  const Shape dense = contiguous_strides(shape);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (shape[axis] != 1 && strides[axis] != dense[axis]) return false;  // the stride of a size of 1 is never used
  }
  return true;
}

}  // namespace heddle
