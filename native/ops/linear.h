#pragma once

#include <array>

#include "core/tensor.h"
#include "ops/elementwise.h"

namespace heddle {

class Runtime;

/// Columns of a panel. A weight [N, K] is packed as ceil(N / 64) panels of [K][64], the last one filled up with
/// zeros: lane n of panel p is output 64 p + n. Every instruction set reads this one layout, in whole vectors.
constexpr int64_t kPanelWidth = 64;

/// Bytes of a weight [n, k] packed into panels.
size_t panel_bytes(int64_t n, int64_t k);

/// out = weight in panels.
struct PackPanels {
  static constexpr const char* kName = "pack_weight";
  const Tensor* weight;  // [N, K] float32, any strides
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {weight}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* pack(Runtime& runtime, PackPanels op);

/// out = activation(x · weightᵀ + bias) + residual.
///
///   x         [..., K] float32
///   weight    [N, K] float32, packed or not (then it is packed for this call)
///   bias      [N] or null
///   residual  [..., N] or null
///   out       [..., N]
///
/// Each output is one chain of multiply-adds along k = 0 … K - 1 in float32, whatever the number of rows: a row gives
/// the same bytes alone and among others.
struct Linear {
  static constexpr const char* kName = "linear";
  const Tensor* x;
  const Tensor* weight;
  const Tensor* bias;
  const Tensor* residual;
  Activation activation;
  Tensor* out = nullptr;

  std::array<const Tensor*, 4> reads() const { return {x, weight, bias, residual}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* linear(Runtime& runtime, Linear op);

}  // namespace heddle
