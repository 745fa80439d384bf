#pragma once

#include <array>
#include <vector>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out = tensors one behind the other along an axis.
///
///   parts  of one dtype, any, and one shape but for that axis; null from the first that there is not
///   out    the same shape, with the sum of their sizes there
///
/// Throws RangeError where the shapes do not fit, or there are no parts.
struct Concat {
  static constexpr const char* kName = "concat";
  static constexpr int kMaxParts = 16;
  std::array<const Tensor*, kMaxParts> parts;
  int axis;
  Tensor* out = nullptr;

  const std::array<const Tensor*, kMaxParts>& reads() const { return parts; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: `out` as rows, one behind the other, of the elements from the axis on.
  int64_t row_elements(const Tensor* part) const {
    int64_t elements = 1;
    for (int i = axis; i < part->shape.rank(); ++i) elements *= part->shape[i];
    return elements;
  }
};
/// Of any number of tensors.
Tensor* concat_tensors(Runtime& runtime, std::vector<const Tensor*> tensors, int64_t axis);

}  // namespace heddle
