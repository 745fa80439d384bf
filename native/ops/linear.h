#pragma once

#include <array>

#include "core/tensor.h"
#include "ops/activation.h"

namespace heddle {

class Runtime;

/// out = weight in panels, see Layout::kPanels.
struct PackPanels {
  static constexpr const char* kName = "pack_weight";
  const Tensor* weight;  // [N, K] of a float dtype, any strides
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {weight}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* pack(Runtime& runtime, PackPanels op);

/// out = activation(x · weightᵀ + bias) + residual.
///
///   x         [..., K] of a float dtype T
///   weight    [N, K] T, packed or not (then it is packed for this call)
///   bias      [N] T or null
///   residual  [..., N], of out's dtype, or null
///   out       [..., N] T or float32
///
/// Each output is one chain of multiply-adds along k = 0 … K - 1 in float32, whatever the number of rows: a row gives
/// the same bytes alone and among others. The level amx multiplies bfloat16 by TDPBF16PS, 32 of k after the other: in a
/// float32 arithmetic of its own order, in which numbers below 2^-126 are zero.
struct Linear {
  static constexpr const char* kName = "linear";
  const Tensor* x;
  const Tensor* weight;
  const Tensor* bias;
  const Tensor* residual;
  Activation activation;
  Tensor* out = nullptr;
  bool float32_out = false;

  std::array<const Tensor*, 4> reads() const { return {x, weight, bias, residual}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* linear(Runtime& runtime, Linear op);

}  // namespace heddle
