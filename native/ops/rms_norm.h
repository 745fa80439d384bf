#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// sum = x + residual;  out = sum / sqrt(mean(sum²) + eps) · (weight + offset), over the axes from one on.
/// Root mean square layer normalization (Zhang and Sennrich, 2019, section 4).
///
///   x, residual, out, sum  [..., C] of one float dtype; residual and sum may be null (then sum is x)
///   weight                 [C], or null
///
/// C stands for all axes that are normalized.
/// `offset` is 0, or 1 for weights that are stored as their difference from 1. The mean of squares is taken in
/// float32, in an order fixed by C, over the sum before it is rounded to halves. Throws RangeError if eps is negative
/// or not finite.
struct RmsNorm {
  static constexpr const char* kName = "rms_norm";
  const Tensor* x;
  const Tensor* residual;
  const Tensor* weight;
  float eps;
  float offset;
  Tensor* out = nullptr;
  Tensor* sum = nullptr;

  std::array<const Tensor*, 3> reads() const { return {x, residual, weight}; }
  std::array<Tensor*, 2> writes() const { return {out, sum}; }
};

struct RmsNormResult {
  Tensor* out;
  Tensor* sum;  // null without a residual
};
RmsNormResult rms_norm(Runtime& runtime, RmsNorm op, int64_t axis);

}  // namespace heddle
