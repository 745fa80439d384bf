#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out = exp(x - m) / Σ exp(x - m) over an axis, m its maximum; or the logarithm of that.
///
///   x, out  [..., C] of one float dtype; another axis than the last is brought there, and the result is a view
///
/// A row of only -∞ gives NaN, as the formula does.
struct Softmax {
  static constexpr const char* kName = "softmax";
  const Tensor* x;
  bool log;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* softmax(Runtime& runtime, Softmax op, int64_t axis);

/// out = index of the largest element of the last axis, the first of equals; NaN counts as largest.
///
///   x    [..., C] of a float dtype, C ≥ 1
///   out  [...] int32
struct Argmax {
  static constexpr const char* kName = "argmax";
  const Tensor* x;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* argmax(Runtime& runtime, Argmax op);

}  // namespace heddle
