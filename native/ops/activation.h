#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Functions of one number, in the order of lib/ops/activation.ts. NaN stays.
enum class Activation : int32_t {
  kNone,
  kGelu,       // x Φ(x) = x/2 · (1 + erf(x / √2)) (Hendrycks and Gimpel, 2016, section 2)
  kGeluTanh,   // x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
  kSilu,       // x / (1 + e^-αx); α is 1 unless the op has one (Elfwing et al., 2017; Ramachandran et al., 2017)
  kRelu,       // max(x, 0)
  kQuickGelu,  // silu with α = 1.702 (Hendrycks and Gimpel, 2016, section 2)
  kGelu10,     // gelu, cut to [-10, 10]
  kRelu2,      // max(x, 0)² (So et al., 2021, section 4)
  kRelu6,      // max(x, 0), at most 6
  kTanh,
  kSigmoid,    // 1 / (1 + e^-x)
  kMish,       // x tanh(ln(1 + e^x)) (Misra, 2019)
  kLaplace,    // (1 + erf((x - μ) / (σ √2))) / 2, μ = √½, σ = √(1 / 4π) (Ma et al., 2022, section 3.2)
  kLeakyRelu,  // x, below 0 x / 100
  kElu,        // x, below 0 e^x - 1 (Clevert et al., 2015)
  kSelu,       // λ x, below 0 λ α (e^x - 1) (Klambauer et al., 2017, section 2)
  kSoftplus,   // ln(1 + e^x)
  kExp,
  kLog,
  kSqrt,
  kNegative,
  kAbs,
};

constexpr int kNumActivations = static_cast<int>(Activation::kAbs) + 1;
/// λ and α of kSelu.
constexpr float kSeluScale = 1.05070098736f, kSeluAlpha = 1.67326324235f;

/// out = activation(x), of one float dtype, any shape, computed in float32. `alpha` is that of kSilu, finite.
struct Activate {
  static constexpr const char* kName = "activation";
  const Tensor* x;
  Activation activation;
  float alpha;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// `function` is what messages say.
Tensor* activate(Runtime& runtime, const char* function, Activate op);

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
