#pragma once

#include <array>
#include <optional>

#include "core/tensor.h"

namespace heddle {

class Runtime;

enum class ReduceKind : int32_t {
  kSum,        // 0 of nothing
  kMean,       // NaN of nothing
  kLogSumExp,  // m + ln Σ exp(x - m), m the maximum; -∞ of nothing, and where all is -∞
};

/// out = a sum over an axis, or another of the above, in float32, in an order fixed by the axis' length; rounded once.
///
///   x    [..., C] of a float dtype; another axis than the last is brought there
///   out  [...], or with 1 for C if `keep`
struct Reduce {
  static constexpr const char* kName = "reduce";
  const Tensor* x;
  ReduceKind kind;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// Without an axis over all elements. `function` is what messages say.
Tensor* reduce(Runtime& runtime, const char* function, Reduce op, std::optional<int64_t> axis, bool keep);

}  // namespace heddle
