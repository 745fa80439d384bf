#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out = a dense copy of x.
struct Copy {
  static constexpr const char* kName = "copy";
  const Tensor* x;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};

/// x itself if it is dense, else a dense copy.
const Tensor* dense(Runtime& runtime, const Tensor* x);

/// out = a + b, float32, with NumPy's broadcasting: axes are aligned at the last, and a size of 1 is repeated.
/// Throws RangeError where the shapes do not broadcast.
struct Add {
  static constexpr const char* kName = "add";
  const Tensor* a;
  const Tensor* b;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {a, b}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* add(Runtime& runtime, Add op);

enum class Activation : int32_t {
  kNone,
  kGelu,      // x Φ(x) = x/2 · (1 + erf(x / √2)) (Hendrycks and Gimpel, 2016, section 2)
  kGeluTanh,  // x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
  kSilu,      // x / (1 + e^-x)
  kRelu,      // max(x, 0); NaN stays
};

/// out = activation(x), float32, any shape.
struct Activate {
  static constexpr const char* kName = "activation";
  const Tensor* x;
  Activation activation;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* activate(Runtime& runtime, Activate op);

/// out = activation(gate) · up: a gated linear unit behind its two projections (Shazeer, 2020, section 2).
///
///   gate, up, out  [..., C] float32
struct Gated {
  static constexpr const char* kName = "gated";
  const Tensor* gate;
  const Tensor* up;
  Activation activation;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {gate, up}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* gated(Runtime& runtime, Gated op);

}  // namespace heddle
