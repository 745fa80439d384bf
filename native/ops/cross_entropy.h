#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// loss = (1 - s) · (lse - x[label]) + s · (lse - mean(x)) with lse = ln Σ exp(x): cross entropy of softmax(x) and the
/// label, smoothed by s (Szegedy et al., 2016, section 7).
///
///   logits  [..., V] of a float dtype
///   labels  [...] int32; where `ignored` stands, the loss is 0
///   losses  [...] float32
///   mean    [] float32: of those that are not ignored, NaN if there are none; or null
///
/// Computed in float32. A label that is neither `ignored` nor in [0, V) fails when the op runs: INDEX_OUT_OF_RANGE.
/// Throws RangeError unless 0 ≤ s ≤ 1.
struct CrossEntropy {
  static constexpr const char* kName = "cross_entropy";
  const Tensor* logits;
  const Tensor* labels;
  int32_t ignored;
  float smoothing;
  Tensor* losses = nullptr;
  Tensor* mean = nullptr;

  std::array<const Tensor*, 2> reads() const { return {logits, labels}; }
  std::array<Tensor*, 2> writes() const { return {losses, mean}; }

  /// For kernels: the label of row `at` is none.
  [[noreturn]] void fail(int64_t at, int32_t label) const;
};
/// The mean, or the losses.
Tensor* cross_entropy(Runtime& runtime, CrossEntropy op, bool mean);

}  // namespace heddle
