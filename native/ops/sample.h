#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Draws one token per row from softmax(scores).
///
///   scores     [N, V] float32, V ≥ 1
///   keys       [N, 3] int32: low and high half of the seed, and the sequence's number
///   steps      [N] int32: the counter; one draw a step
///   mu         [N] float32 or absent, in place: mirostat's (Basu et al., 2021, algorithm 2) μ -= η · (-log2 p - τ),
///              with the p of the token that is drawn
///   out        [N] int32
///   log_probs  [N] float32 or absent: ln p of that token
///
/// Tokens stand in the order of their ids, and the one is drawn at which the sum of their weights first exceeds a part
/// u of all. Weights are in fixed point, 2^40 for the best token; one of less than 2^-40 of that, -∞ among them, is
/// never drawn. u is a number of Philox 4x32-10 (Salmon et al., 2011), keyed by seed and counted by (step, sequence): a
/// row draws the same alone and among others. A row with NaN or no finite largest score fails when the op runs:
/// NO_CHOICE.
struct Sample {
  static constexpr const char* kName = "sample";
  const Tensor* scores;
  const Tensor* keys;
  const Tensor* steps;
  Tensor* mu = nullptr;
  float target_surprise = 0;  // τ, in bits
  float learning_rate = 0;    // η
  Tensor* out = nullptr;
  Tensor* log_probs = nullptr;

  std::array<const Tensor*, 4> reads() const { return {scores, keys, steps, mu}; }
  std::array<Tensor*, 3> writes() const { return {out, log_probs, mu}; }

  /// For kernels: no token of `row` can be drawn.
  [[noreturn]] void fail(int64_t row) const;
};
/// The op with its results, of which `log_probs` is there if it is wanted.
Sample sample(Runtime& runtime, Sample op, bool wants_log_probs);

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
