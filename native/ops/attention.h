#pragma once

#include <array>
#include <vector>

#include "ops/bias.h"
#include "ops/kv_cache.h"
#include "ops/mask.h"

namespace heddle {

/// What gives each query its scores, over keys in a cache and with ragged queries:
///
///   score_ij = softcap(scale · (q_i · k_j + b_ij)) + c_ij   for the keys that query i may attend to, else -∞
///
///   q           [Bq, Tq, H, Dk] of a float dtype, innermost axis dense; H is a multiple of Hkv
///   cu_seqlens  [B + 1] int32: queries cu[b] … cu[b + 1] - 1, counted along [Bq · Tq], are those of sequence b
///   cache       keys and values, those of this call's queries included; lengths without them
///   cross       the cache holds other tokens' keys, those of a source: exactly lengths[b], which are not negative
///               (Vaswani et al., 2017, section 3.2.3)
///   offsets     [B] int32: position of a sequence's first query; null: so that its last one stands at its last key
///   softcap     x → softcap · tanh(x / softcap) (Gemma Team, 2024, section 2); 0: none
///   bias        b: its scaled terms, c: the others; where c is -∞ the query may not attend to the key
///
/// A sequence has lengths[b] + (cu[b + 1] - cu[b]) keys, with `cross` lengths[b]. Query i of it stands at key position
/// offsets[b] + i. With `causal` it may attend to the keys up to that position, else to all; of these, to those that
/// `mask` keeps.
struct ScoreInputs {
  const Tensor* q;
  const Tensor* cu_seqlens;
  PagedKV cache;
  float scale;
  bool causal;
  float softcap = 0.0f;
  MaskOperand mask{};
  BiasOperand bias{};
  const Tensor* offsets = nullptr;
  bool cross = false;

  bool plain() const { return softcap == 0.0f && !bias.code; }
  /// With further ones behind.
  template <typename... Others>
  std::array<const Tensor*, 18 + sizeof...(Others)> reads(Others... others) const {
    return {q,
            cu_seqlens,
            cache.pages,
            cache.block_table,
            cache.lengths,
            offsets,
            mask.code,
            mask.data[0],
            mask.data[1],
            mask.data[2],
            mask.data[3],
            bias.code,
            bias.data[0],
            bias.data[1],
            bias.data[2],
            bias.data[3],
            bias.query_positions,
            bias.key_positions,
            others...};
  }
};

/// out_i = Σ_j p_ij v_j,  p_ij = e^(score_ij) / (Σ_j e^(score_ij) + e^(sink_h))
/// Scaled dot-product attention (Vaswani et al., 2017, section 3.2.1) with grouped heads (Ainslie et al., 2023), in
/// one pass over the keys without a Tq × Tk matrix (Dao et al., 2022, algorithm 1).
///
///   sinks  [H] float32, or null: no such term (OpenAI, 2025, gpt-oss: a learned score that takes weight and gives
///          nothing)
///   out    [Bq, Tq, H, Dv], dense, of q's dtype
///   lse    [Bq, Tq, H] float32, dense, or null: ln of the denominator, -∞ where it is 0
///
/// A row that may attend to nothing gives 0.
///
/// Arithmetic: float32; with a cache of a half dtype, p is rounded to it before it meets v, and the sum below it is
/// not. Of int8, scales multiply q · k and p. On CUDA rounding goes by q's dtype: where it is a half, p is rounded, and
/// of int8 v times its scale. The keys of a row are taken in blocks of kPageKeys within spans of kSpanBlocks blocks,
/// both at fixed positions; an online softmax runs over the blocks of a span, and spans are merged in order, after the
/// sink. So a row's bytes depend on nothing but its own query and keys. The level amx multiplies bfloat16 as it does
/// for Linear.
struct Attention {
  static constexpr const char* kName = "attention";
  static constexpr int64_t kSpanBlocks = 8;

  ScoreInputs scores;
  const Tensor* sinks = nullptr;
  Tensor* out = nullptr;
  Tensor* lse = nullptr;

  std::array<const Tensor*, 19> reads() const { return scores.reads(sinks); }
  std::array<Tensor*, 2> writes() const { return {out, lse}; }
};

/// Which stage of the scores is written out.
enum class ScoreStage : int32_t {
  kProduct,  // scale · (q · k + b), of all pairs
  kCapped,   // the same after the soft cap
  kMasked,   // score: -∞ where the query may not attend
  kWeights,  // p; 0 where the query may not attend
};

/// Writes scores or weights out, computed once more: nothing of the size Tq × Tk is there unless it is asked for.
///
///   sinks  as of Attention, for weights
///   rows   [R] int32 queries, counted along [Bq · Tq], or null: all
///   heads  [S] int32, or null: all
///   out    [R, S, K] float32; of keys that a sequence does not have -∞, of weights 0
///
/// With `distances` > 0, instead: out [R, S, distances], the weights of the keys at distance number
/// clamp(key - position + low, 0, distances - 1) from the query summed in order of the keys.
struct AttentionScores {
  static constexpr const char* kName = "attention";

  ScoreInputs scores;
  ScoreStage stage;
  const Tensor* sinks = nullptr;
  const Tensor* rows = nullptr;
  const Tensor* heads = nullptr;
  int32_t low = 0;
  int32_t distances = 0;
  Tensor* out = nullptr;

  std::array<const Tensor*, 21> reads() const { return scores.reads(sinks, rows, heads); }
  std::array<Tensor*, 1> writes() const { return {out}; }
};

/// Some of many, by number; the caller's. `values` null: all.
struct IndexList {
  const int32_t* values = nullptr;
  int64_t count = 0;
};

/// Scores that are wanted: see AttentionScores.
struct ScoreWish {
  ScoreStage stage;
  IndexList rows;
  IndexList heads;
  int32_t low = 0;
  int32_t distances = 0;
};

/// What is wanted beside the output.
struct AttentionWish {
  bool lse = false;
  std::vector<ScoreWish> scores;
};

struct AttentionResult {
  Tensor* out;
  Tensor* lse;  // null unless asked for
  std::vector<Tensor*> scores;
};

/// What attention takes beside queries, keys and values.
struct AttentionSetting {
  float scale;
  bool causal;
  float softcap;
  MaskExpression mask;
  BiasExpression bias;
  const Tensor* sinks;
  const Tensor* offsets;  // [B] int32 or null
  bool cross = false;     // over a cache
};

/// Ragged queries q over a cache whose block table has B rows. Throws TypeError or RangeError for what does not fit,
/// and for a scale or soft cap that is not a finite number.
AttentionResult attention(Runtime& runtime, const Tensor* q, const Tensor* cu_seqlens, const PagedKV& cache,
                          const AttentionSetting& setting, const AttentionWish& wish);

/// Dense queries over given keys and values:
///
///   q  [B, H, Tq, Dk], k  [B, Hkv, Tk, Dk], v  [B, Hkv, Tk, Dv], of one float dtype, any strides
///
/// Query i stands at key position Tk - Tq + i, unless offsets say otherwise. Gives out [B, H, Tq, Dv], laid out so that
/// the transpose to [B, Tq, H · Dv] is dense, lse [B, H, Tq], and scores as AttentionScores does.
AttentionResult attention(Runtime& runtime, const Tensor* q, const Tensor* k, const Tensor* v,
                          const AttentionSetting& setting, const AttentionWish& wish);

}  // namespace heddle
