#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// sum = x + residual;  out = (sum - mean) / sqrt(variance + eps) · weight + bias, over the axes from one on.
/// Layer normalization (Ba, Kiros and Hinton, 2016, section 3), with the biased variance Σ (sum - mean)² / C.
///
///   x, residual, out, sum    [..., C] of one float dtype; residual and sum may be null (then sum is x)
///   weight, bias             [C], or null
///   mean, inverse_deviation  [..., 1] float32, or null: what (sum - mean) · inverse_deviation is made of
///
/// C stands for all axes that are normalized. If `unbiased`, the deviation is sqrt(Σ (sum - mean)² / (C - 1)) + eps, as
/// in The Annotated Transformer (Rush, 2018, "Encoder"); then C = 1 gives NaN. Mean and variance take two passes in
/// float32, in an order fixed by C, over the sum before it is rounded to halves. Throws RangeError if eps is negative
/// or not finite.
struct LayerNorm {
  static constexpr const char* kName = "layer_norm";
  const Tensor* x;
  const Tensor* residual;
  const Tensor* weight;
  const Tensor* bias;
  float eps;
  bool unbiased;
  Tensor* out = nullptr;
  Tensor* sum = nullptr;
  Tensor* mean = nullptr;
  Tensor* inverse_deviation = nullptr;

  std::array<const Tensor*, 4> reads() const { return {x, residual, weight, bias}; }
  std::array<Tensor*, 4> writes() const { return {out, sum, mean, inverse_deviation}; }
};

struct LayerNormResult {
  Tensor* out;
  Tensor* sum;  // null without a residual
  Tensor* mean;
  Tensor* inverse_deviation;
};
/// `stats`: mean and inverse deviation are wanted.
LayerNormResult layer_norm(Runtime& runtime, LayerNorm op, int64_t axis, bool stats);

}  // namespace heddle
