#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// What queries and keys go through before they meet.
enum class FeatureMap : int32_t {
  kNone,
  kElu,  // elu(x) + 1: x + 1 above 0, else e^x (Katharopoulos et al., 2020, equation 7)
};

/// Attention through a state of Dk × Dv numbers a head instead of scores: O(T) in time, O(1) in memory. With q', k' the
/// features of queries and keys, each key, one after the other, changes the state S:
///
///   S ← diag(e^decay) S                     if there is a decay
///   u = v, or beta (v - Sᵀ (erase ⊙ k'))    if there is a beta
///   S ← S + k' uᵀ
///
/// and a query reads it: out = scale · Sᵀ q'; if `normalized`, out = Sᵀ q' / ((z + eps) · q') with z the sum of the k',
/// or 0 where the divisor is 0. `causal` queries stand at key Tk - Tq + i and read what the keys up to there have
/// left; others read the last state.
///
///   q      [B, H, Tq, Dk] of a float dtype, any strides; H is a multiple of Hkv
///   k      [B, Hkv, Tk, Dk]
///   v      [B, Hkv, Tk, Dv]
///   decay  [B, Hkv, Tk] or [B, Hkv, Tk, Dk], logarithms; or null
///   beta   [B, Hkv, Tk] or [B, 1, Tk]; or null
///   erase  [B, Hkv, Tk, Dk]; or null: 1
///   padding  see KeyPadding; keys that are not there leave the state as it is
///   past   [B, Hkv, Dk, Dv], normalized [B, Hkv, Dk, Dv + 1] with z as its last column, float32; or null: 0
///   out    [B, Tq, H, Dv], dense
///   state  as `past`, after the last key; or null
///
/// Papers: linear attention, Katharopoulos et al., 2020, section 3; decay a head: Sun et al., 2023 (RetNet), section 2;
/// decay a channel: Yang et al., 2023 (gated linear attention), section 4; beta: Schlag et al., 2021, section 4.2
/// (delta rule); both: Yang et al., 2024 (gated DeltaNet), section 3.
///
/// Arithmetic: float32, rounded once. One chain along the keys per element of the state, one order along Dk per
/// product: a row's bytes depend neither on the batch nor on how the keys come in chunks.
struct LinearAttention {
  static constexpr const char* kName = "linear_attention";

  const Tensor* q;
  const Tensor* k;
  const Tensor* v;
  const Tensor* decay = nullptr;
  const Tensor* beta = nullptr;
  const Tensor* erase = nullptr;
  const Tensor* padding = nullptr;
  const Tensor* past = nullptr;
  FeatureMap features = FeatureMap::kNone;
  bool causal = true;
  bool normalized = false;
  float eps = 0.0f;
  float scale = 1.0f;
  Tensor* out = nullptr;
  Tensor* state = nullptr;

  std::array<const Tensor*, 8> reads() const { return {q, k, v, decay, beta, erase, padding, past}; }
  std::array<Tensor*, 2> writes() const { return {out, state}; }
};

struct LinearAttentionResult {
  Tensor* out;    // [B, H, Tq, Dv], laid out so that the transpose to [B, Tq, H · Dv] is dense
  Tensor* state;  // null unless it was asked for
};

/// Throws TypeError or RangeError for what does not fit: an `erase` without a `beta`, a number that is not finite.
/// Without `normalized`, queries and keys are as many.
LinearAttentionResult linear_attention(Runtime& runtime, LinearAttention op, bool return_state);

}  // namespace heddle
