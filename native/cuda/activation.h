#pragma once

#include "cuda/lanes.h"
#include "ops/elementwise.h"

namespace heddle::cuda {

HEDDLE_DEVICE float gelu(float x) {
  const float half = 0.5f * x;
  return fmaf(half, erff(x * 0.70710678118f), half);
}

/// x/2 · (1 + tanh u) = x / (1 + e^-2u)
HEDDLE_DEVICE float gelu_tanh(float x) {
  const float u = 0.79788456080f * x * fmaf(0.044715f, x * x, 1.0f);
  return x / (1.0f + expf(-2.0f * u));
}

HEDDLE_DEVICE float silu(float x) { return x / (1.0f + expf(-x)); }

HEDDLE_DEVICE float activate(float x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return gelu(x);
    case Activation::kGeluTanh:
      return gelu_tanh(x);
    case Activation::kSilu:
      return silu(x);
    case Activation::kRelu:
      return x < 0.0f ? 0.0f : x;
  }
  return x;
}

/// The choice is made once for all lanes.
template <int N>
HEDDLE_DEVICE Lanes<N> activate_lanes(const Lanes<N>& x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      break;
    case Activation::kGelu:
      return map_lanes(x, [](float v) { return gelu(v); });
    case Activation::kGeluTanh:
      return map_lanes(x, [](float v) { return gelu_tanh(v); });
    case Activation::kSilu:
      return map_lanes(x, [](float v) { return silu(v); });
    case Activation::kRelu:
      return map_lanes(x, [](float v) { return v < 0.0f ? 0.0f : v; });
  }
  return x;
}

}  // namespace heddle::cuda
