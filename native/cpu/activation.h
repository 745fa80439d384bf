#pragma once

#include "cpu/math.h"
#include "ops/elementwise.h"

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
      return body([](Vec x) { return max(Vec::set(0.0f), x); });
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
