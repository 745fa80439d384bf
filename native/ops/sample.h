#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Draws one token per row from softmax(logits / temperature), cut to the best.
///
///   logits  [B, V] float32, V ≥ 1
///   keys    [B, 3] int32: low and high half of the seed, and the sequence's number
///   steps   [B] int32: the counter; one draw a step
///   out     [B] int32
///
/// `top_k` > 0 keeps the k best (and what equals the k-th). `top_p` < 1 then keeps the best tokens until those before
/// hold that mass, at least one (Holtzman et al., 2019, section 3.1). The draw is a number from Philox 4x32-10 (Salmon
/// et al., 2011), keyed by seed and counted by (step, sequence): a row draws the same alone and among others. A row
/// with no finite logit fails when the op runs: NO_CHOICE.
struct Sample {
  static constexpr const char* kName = "sample";
  const Tensor* logits;
  const Tensor* keys;
  const Tensor* steps;
  float temperature;
  float top_p;
  int64_t top_k;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {logits, keys, steps}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: no token of `row` can be drawn.
  [[noreturn]] void fail(int64_t row) const;
};
/// Throws RangeError unless temperature > 0, 0 < top_p ≤ 1 and top_k ≥ 0.
Tensor* sample(Runtime& runtime, Sample op);

/// Ends rows at their end token: where finished[b] is set, tokens[b] becomes `pad`; else, if tokens[b] is one of
/// `ends`, finished[b] is set.
///
///   chosen    [B] int32
///   ends      [E] int32
///   tokens    [B] int32, written: what the row emits and the next step reads
///   finished  [B] int32, in place
struct EndOfSequence {
  static constexpr const char* kName = "end_of_sequence";
  const Tensor* chosen;
  const Tensor* ends;
  int32_t pad;
  Tensor* tokens;
  Tensor* finished;

  std::array<const Tensor*, 3> reads() const { return {chosen, ends, finished}; }
  std::array<Tensor*, 2> writes() const { return {tokens, finished}; }
};
void end_of_sequence(Runtime& runtime, const EndOfSequence& op);

}  // namespace heddle
