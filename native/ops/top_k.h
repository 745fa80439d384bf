#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// The k largest elements of an axis, or the smallest, and where they stand.
///
///   x        [..., C] of a float dtype or int32; another axis than the last is brought there, and the results are
///   views values   [..., k] of x's dtype indices  [..., k] int32
///
/// Of equals (0 and -0 are) the lower index comes first; NaN is larger than all. If `sorted` they stand in this order,
/// else in that of their indices. Throws RangeError unless 0 ≤ k ≤ C.
struct TopK {
  static constexpr const char* kName = "top_k";
  const Tensor* x;
  int64_t k;
  bool largest;
  bool sorted;
  Tensor* values = nullptr;
  Tensor* indices = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 2> writes() const { return {values, indices}; }
};

struct TopKResult {
  Tensor* values;
  Tensor* indices;
};
TopKResult top_k(Runtime& runtime, TopK op, int64_t axis);

}  // namespace heddle
