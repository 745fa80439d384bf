#pragma once

#include "cpu/math.h"
#include "ops/activation.h"

namespace heddle::cpu::HEDDLE_ISA {

inline Vec gelu(Vec x) {
  const Vec half = Vec::set(0.5f) * x;
  return fma(half, erf(x * Vec::set(0.70710678118f)), half);
}

/// x/2 · (1 + tanh u) = x / (1 + e^-2u)
inline Vec gelu_tanh(Vec x) {
  const Vec u = Vec::set(0.79788456080f) * x * fma(Vec::set(0.044715f), x * x, Vec::set(1.0f));
  return x / (Vec::set(1.0f) + exp(Vec::set(-2.0f) * u));
}

inline Vec silu(Vec x) { return x / (Vec::set(1.0f) + exp(Vec::set(0.0f) - x)); }
inline Vec swish(Vec x, float alpha) { return x / (Vec::set(1.0f) + exp(Vec::set(-alpha) * x)); }

inline Vec sigmoid(Vec x) { return Vec::set(1.0f) / (Vec::set(1.0f) + exp(Vec::set(0.0f) - x)); }

inline Vec relu(Vec x) { return max(Vec::set(0.0f), x); }

/// tanh(ln(1 + e)) = ((1 + e)² - 1) / ((1 + e)² + 1); from e^20 on that is 1.
inline Vec mish(Vec x) {
  const Vec e = exp(min(Vec::set(20.0f), x));
  const Vec squares = e * (e + Vec::set(2.0f));
  return x * (squares / (squares + Vec::set(2.0f)));
}

inline Vec laplace(Vec x) {
  const Vec distance = (x - Vec::set(0.70710678118f)) * Vec::set(2.50662827463f);  // 1 / (σ √2) = √(2 π)
  return fma(Vec::set(0.5f), erf(distance), Vec::set(0.5f));
}

inline Vec softplus(Vec x) { return relu(x) + log1p(exp(Vec::set(0.0f) - abs(x))); }

/// x · positive, below 0 negative · (e^x - 1)
inline Vec elu(Vec x, float positive, float negative) {
  return select(x < Vec::set(0.0f), Vec::set(negative) * expm1(x), Vec::set(positive) * x);
}

/// Calls `body` with the activation as a function of Vec: the choice is made outside the loop.
template <typename Body>
inline void with_activation(Activation activation, const Body& body) {
  switch (activation) {
    case Activation::kNone:
      return body([](Vec x) { return x; });
    case Activation::kGelu:
      return body([](Vec x) { return gelu(x); });
    case Activation::kGeluTanh:
      return body([](Vec x) { return gelu_tanh(x); });
    case Activation::kSilu:
      return body([](Vec x) { return silu(x); });
    case Activation::kRelu:
      return body([](Vec x) { return relu(x); });
    case Activation::kQuickGelu:
      return body([](Vec x) { return swish(x, 1.702f); });
    case Activation::kGelu10:
      return body([](Vec x) { return min(Vec::set(10.0f), max(Vec::set(-10.0f), gelu(x))); });
    case Activation::kRelu2:
      return body([](Vec x) { return relu(x) * relu(x); });
    case Activation::kRelu6:
      return body([](Vec x) { return min(Vec::set(6.0f), relu(x)); });
    case Activation::kTanh:
      return body([](Vec x) { return tanh(x); });
    case Activation::kSigmoid:
      return body([](Vec x) { return sigmoid(x); });
    case Activation::kMish:
      return body([](Vec x) { return mish(x); });
    case Activation::kLaplace:
      return body([](Vec x) { return laplace(x); });
    case Activation::kLeakyRelu:
      return body([](Vec x) { return select(x < Vec::set(0.0f), Vec::set(0.01f) * x, x); });
    case Activation::kElu:
      return body([](Vec x) { return elu(x, 1.0f, 1.0f); });
    case Activation::kSelu:
      return body([](Vec x) { return elu(x, kSeluScale, kSeluScale * kSeluAlpha); });
    case Activation::kSoftplus:
      return body([](Vec x) { return softplus(x); });
    case Activation::kExp:
      return body([](Vec x) { return exp(x); });
    case Activation::kLog:
      return body([](Vec x) { return log(x); });
    case Activation::kSqrt:
      return body([](Vec x) { return sqrt(x); });
    case Activation::kNegative:
      return body([](Vec x) { return Vec::set(-0.0f) - x; });
    case Activation::kAbs:
      return body([](Vec x) { return abs(x); });
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
