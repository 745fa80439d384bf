#pragma once

#include <array>

#include "core/tensor.h"
#include "ops/activation.h"

namespace heddle {

class Runtime;

/// out = weight in panels, see Layout::kPanels: of its own dtype, or quantized (core/quantized.h).
struct PackPanels {
  static constexpr const char* kName = "pack_weight";
  const Tensor* weight;  // [N, K] of a float dtype, any strides
  DType dtype;           // of out: the weight's, int8 or int4
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {weight}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* pack(Runtime& runtime, PackPanels op);
/// Throws RangeError for a weight [N, K] that has too many inputs to be quantized.
void check_quantized(const char* function, const Tensor* weight);

/// out = activation(x · weightᵀ + bias) + residual.
///
///   x         [..., K] of a float dtype T
///   weight    [N, K] T, packed or not (then it is packed for this call); or int8 or int4, packed
///   bias      [N] T or null
///   residual  [..., N], of out's dtype, or null
///   out       [..., N] T or float32
///
/// Each output is one chain of multiply-adds along k = 0 … K - 1 in float32, whatever the number of rows: a row gives
/// the same bytes alone and among others. The level amx multiplies bfloat16 by TDPBF16PS, 32 of k after the other: in a
/// float32 arithmetic of its own order, in which numbers below 2^-126 are zero.
///
/// Where the weight is quantized, each row of x is, too: with a its largest magnitude, q = x · (127 / a) to the
/// nearest, of two the even one, and s = a / 127; a row with a < 1e-30 counts as zero. An output is (Σ q · w) · s ·
/// scale[n] in float32, where the sum is one of whole numbers, exact for K up to 131,072: the same bytes on every
/// instruction set and device, before an activation. A row with a NaN or an infinity is NaN.
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
