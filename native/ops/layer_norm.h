#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// sum = x + residual;  out = (sum - mean) / sqrt(variance + eps) · weight + bias, over the last axis.
/// Layer normalization (Ba, Kiros and Hinton, 2016, section 3), with the biased variance.
///
///   x, residual, out, sum  [..., C] of one float dtype; residual and sum may be null (then sum is x)
///   weight, bias           [C] or null
///
/// Mean and variance take two passes in float32, in an order fixed by C, over the sum before it is rounded to halves.
/// Throws RangeError if eps is negative or not
/// finite.
struct LayerNorm {
  static constexpr const char* kName = "layer_norm";
  const Tensor* x;
  const Tensor* residual;
  const Tensor* weight;
  const Tensor* bias;
  float eps;
  Tensor* out = nullptr;
  Tensor* sum = nullptr;

  std::array<const Tensor*, 4> reads() const { return {x, residual, weight, bias}; }
  std::array<Tensor*, 2> writes() const { return {out, sum}; }
};

struct LayerNormResult {
  Tensor* out;
  Tensor* sum;  // null without a residual
};
LayerNormResult layer_norm(Runtime& runtime, LayerNorm op);

}  // namespace heddle
