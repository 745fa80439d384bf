#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// What is to be told of tokens that were chosen, with p = softmax(logits) of a row.
///
///   logits  [N, V] float32, V ≥ 1
///   tokens  [N] int32
///   out     [N, 2 + 2n] int32, floats as their bits: ln p of the token, the entropy -Σ p ln p in nats, and for each of
///           the n best tokens, best first and of equals the lower id first, its id and its ln p
///
/// Sums are float32 within runs, then float64, in an order fixed by V. All floats of a row with NaN, or whose largest
/// logit is not finite, are NaN. A token outside the vocabulary fails when the op runs.
struct TokenReport {
  static constexpr const char* kName = "token_report";
  /// Alternatives are put in order by comparing each with each.
  static constexpr int64_t kMaxAlternatives = 1024;

  const Tensor* logits;
  const Tensor* tokens;
  int64_t alternatives;  // n, from 0 to V
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {logits, tokens}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: tokens[row] is no token.
  [[noreturn]] void fail(int64_t row, int32_t token) const;
};
Tensor* token_report(Runtime& runtime, TokenReport op);

}  // namespace heddle
