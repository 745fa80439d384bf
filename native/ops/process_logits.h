#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"
#include "ops/fault.h"

namespace heddle {

class Runtime;

/// What a processor of logits does to a row of scores x [V]. t is a token, p = softmax(x), H its entropy in nats;
/// "kept" are tokens whose score stays, all others get -∞. HF is transformers 4.44.2, whose arithmetic this follows.
///
/// Arguments are words of the chain's code: r a float32, n a whole number, d a float64 (low word, high word), t… tokens
/// to the end of the piece. With `keep` ≥ 1 the best `keep` tokens are kept in any case.
enum class ProcessorKind : int32_t {
  kLogSoftmax,                //              x - logsumexp(x)
  kBias,                      // groups       x[t] += the sum of those of its biases whose prefix has just been said
  kRepetitionPenalty,         // r n          Keskar et al., 2019, section 4.1: x[t] · r if x[t] < 0 else x[t] / r,
                              //              for tokens among the last n (0: all) of the history
  kEncoderRepetitionPenalty,  // r            the same for tokens of the source
  kFrequencyPenalty,          // r r n n      OpenAI, vLLM: x[t] -= r₁ · times(t) + r₂ · (times(t) > 0), among the
                              //              last n₁ (0: all) of the history; if n₂, of what was generated
  kHammingDiversity,          // r            Vijayakumar et al., 2018: x[t] -= r · times(t), in the group's tokens
  kNoRepeatNgram,             // n            drops what would repeat n tokens of the history
  kEncoderNoRepeatNgram,      // n            drops what would repeat n tokens of the source
  kDry,                       // r r n n t…   don't repeat yourself (p-e-w, text-generation-webui): x[t] -= r₁ ·
         //              r₂^(m - n₁), where t would continue the longest repetition, of m ≥ n₁
         //              tokens (counted up to 50), among the last n₂ (0: all); none goes beyond t…
  kMinLength,         // n t…         drops t… while the history is shorter than n
  kMinNewTokens,      // n t…         drops t… while fewer than n tokens are generated
  kForcedBos,         // t            where the history is one token: t has 0, all others -∞
  kForcedEos,         // t…           where the history is one short of its greatest length: the same
  kSuppress,          // t…           drops t…
  kBeginSuppress,     // n t…         drops t… as the first token; if n, as the second of one-token prompts
  kRemoveInvalid,     //              NaN → 0, ±∞ → the largest and lowest float32
  kExponentialDecay,  // n d t…       x[t] += |x[t]| · (d^(g - n) - 1), g > n tokens generated; -∞ stays
  kTemperature,       // r            x / r
  kDynamicTemperature,  // r r r        llama.cpp: x / (r₁ + (r₂ - r₁) · (H / ln k)^r₃), k: tokens that are not -∞;
                        //              a temperature of 0 keeps the best
  kTopK,           // n            Fan et al., 2018: keeps the n best, and what equals the n-th
  kTopP,           // r keep       Holtzman et al., 2020, section 3.1: drops the worst tokens that together
                   //              hold no more than r = 1 - topP; of equals the lower ids first
  kMinP,           // r keep       Nguyen et al., 2024: keeps p ≥ r · max p
  kTypical,        // r keep       Meister et al., 2023: keeps those with the least |-ln p - H| that
                   //              together hold r, and what equals the last of them
  kEpsilonCutoff,  // r keep       Hewitt et al., 2022: keeps p ≥ r, and what equals the best `keep`
  kEtaCutoff,      // r keep       Hewitt et al., 2022: keeps p ≥ min(r, √r · e^-H), likewise
  kTopNSigma,      // r            Tang et al., 2024: keeps x ≥ max x - r · σ, of the x that are not -∞
  kXtc,            // r r          exclude top choices (p-e-w): with probability r₁ drops the tokens of
                   //              p ≥ r₂ but the least of them (of equals that with the highest id)
  kMirostat,       //              Basu et al., 2021, version 2: keeps -log2 p ≤ mu, at least the best
  kCount,
};

/// Applies a chain of processors, in order, to each row of scores.
///
///   logits          [R, V] float32, V ≥ 1
///   code            [words] int32: pieces one after the other, each its kind, the number of words that follow, and
///                   these. `groups` of kBias: how many, for each where it begins (in words of the piece), and each:
///                   token, how many biases, and each: bias, length of its prefix, prefix
///   rows            [N] int32: row i of the result comes from row rows[i] of logits, and is of that sequence;
///                   absent: N = R, i
///   history         [R, L] int32: the tokens of each sequence so far, all that was given (decoder start and padding
///                   too) and all that was generated
///   lengths         [R] int32: how many these are
///   prompt_lengths  [R] int32: how many of these were given
///   max_lengths     [R] int32: how many there can be
///   source          [S, M] int32: tokens that an encoder read; sequence r belongs to source r / (R / S)
///   source_lengths  [S] int32
///   group_tokens    [B, G] int32: tokens that earlier groups of beams chose in this step; row i of the result belongs
///                   to i / (N / B)
///   keys, steps     [R, 3], [R] int32: as Sample has them, for what draws
///   mu              [R] float32: mirostat's, in bits
///   out             [N, V] float32
///
/// Each tensor from history on may be absent where no processor of the chain needs it. Tokens outside the vocabulary
/// count for nothing. A row with NaN, or with a largest score that is not finite, is left as it is by all that needs
/// its softmax, rank or deviation, but for kLogSoftmax, which makes it NaN. Sums of probabilities that decide where to
/// cut are exact sums of weights in fixed point, 2^40 for the best token, so they depend on no order.
///
/// Fails when it runs for a row outside [0, R) and for a length outside of what it counts.
struct ProcessLogits {
  static constexpr const char* kName = "process_logits";
  const Tensor* logits;
  const Tensor* code = nullptr;
  const Tensor* rows = nullptr;
  const Tensor* history = nullptr;
  const Tensor* lengths = nullptr;
  const Tensor* prompt_lengths = nullptr;
  const Tensor* max_lengths = nullptr;
  const Tensor* source = nullptr;
  const Tensor* source_lengths = nullptr;
  const Tensor* group_tokens = nullptr;
  const Tensor* keys = nullptr;
  const Tensor* steps = nullptr;
  const Tensor* mu = nullptr;
  Tensor* out = nullptr;

  std::array<const Tensor*, 13> reads() const {
    return {logits,         code,         rows, history, lengths, prompt_lengths, max_lengths, source,
            source_lengths, group_tokens, keys, steps,   mu};
  }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: what they found wrong.
  [[noreturn]] void fail(Fault fault, int64_t index, int32_t value) const;
};
/// `code` [words] is the caller's. Throws TypeError or RangeError for what does not fit, for a chain that needs what is
/// not there or names tokens outside the vocabulary, and for a code that kernels could not trust.
Tensor* process_logits(Runtime& runtime, ProcessLogits op, const int32_t* code, int64_t words);

}  // namespace heddle
