#pragma once

#include "cuda/lanes.h"
#include "ops/activation.h"

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
HEDDLE_DEVICE float swish(float x, float alpha) { return x / (1.0f + expf(-alpha * x)); }

HEDDLE_DEVICE float relu(float x) { return x < 0.0f ? 0.0f : x; }

/// tanh(ln(1 + e)) = ((1 + e)² - 1) / ((1 + e)² + 1); from e^20 on that is 1.
HEDDLE_DEVICE float mish(float x) {
  const float e = expf(x > 20.0f ? 20.0f : x);
  const float squares = e * (e + 2.0f);
  return x * (squares / (squares + 2.0f));
}

HEDDLE_DEVICE float laplace(float x) {
  return fmaf(0.5f, erff((x - 0.70710678118f) * 2.50662827463f), 0.5f);  // 1 / (σ √2) = √(2 π)
}

/// x · positive, below 0 negative · (e^x - 1)
HEDDLE_DEVICE float elu(float x, float positive, float negative) {
  return x < 0.0f ? negative * expm1f(x) : positive * x;
}

/// Those that are not worth a copy at each place that has an activation.
HEDDLE_DEVICE_CALL float activate_rarely(float x, Activation activation) {
  switch (activation) {
    case Activation::kQuickGelu:
      return swish(x, 1.702f);
    case Activation::kGelu10: {
      const float y = gelu(x);
      return y < -10.0f ? -10.0f : y > 10.0f ? 10.0f : y;
    }
    case Activation::kRelu2:
      return relu(x) * relu(x);
    case Activation::kRelu6:
      return x > 6.0f ? 6.0f : relu(x);
    case Activation::kTanh:
      return tanhf(x);
    case Activation::kSigmoid:
      return 1.0f / (1.0f + expf(-x));
    case Activation::kMish:
      return mish(x);
    case Activation::kLaplace:
      return laplace(x);
    case Activation::kLeakyRelu:
      return x < 0.0f ? 0.01f * x : x;
    case Activation::kElu:
      return elu(x, 1.0f, 1.0f);
    case Activation::kSelu:
      return elu(x, kSeluScale, kSeluScale * kSeluAlpha);
    case Activation::kSoftplus:
      return relu(x) + log1pf(expf(-fabsf(x)));
    case Activation::kExp:
      return expf(x);
    case Activation::kLog:
      return logf(x);
    case Activation::kSqrt:
      return sqrtf(x);
    case Activation::kNegative:
      return -x;
    case Activation::kAbs:
      return fabsf(x);
    default:
      return x;
  }
}

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
      return relu(x);
    default:
      return activate_rarely(x, activation);
  }
}

/// The choice is made once for all lanes.
template <int N>
HEDDLE_DEVICE Lanes<N> activate_lanes(const Lanes<N>& x, Activation activation) {
  switch (activation) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return map_lanes(x, [](float v) { return gelu(v); });
    case Activation::kGeluTanh:
      return map_lanes(x, [](float v) { return gelu_tanh(v); });
    case Activation::kSilu:
      return map_lanes(x, [](float v) { return silu(v); });
    case Activation::kRelu:
      return map_lanes(x, [](float v) { return relu(v); });
    default:
      return map_lanes(x, [=](float v) { return activate_rarely(v, activation); });
  }
}

}  // namespace heddle::cuda
