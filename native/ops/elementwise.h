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

/// out = x in the dtype of out, any of them to any. Floats are rounded to the nearest, of two to the even one; to int32
/// they are cut, and NaN gives 0, what lies outside the nearest end. To bool: whether x differs from 0. To its own
/// dtype it is a view.
struct Cast {
  static constexpr const char* kName = "cast";
  const Tensor* x;  // any strides
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* cast(Runtime& runtime, Cast op, DType dtype);

/// x itself if it is dense, else a dense copy.
const Tensor* dense(Runtime& runtime, const Tensor* x);

/// out = a + b, all of one float dtype, with NumPy's broadcasting: axes are aligned at the last, and a size of 1 is
/// repeated. Throws RangeError where the shapes do not broadcast.
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

/// out = activation(x), of one float dtype, any shape.
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
///   gate, up, out  [..., C] of one float dtype
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
