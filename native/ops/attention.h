#pragma once

#include "ops/kv_cache.h"
#include "ops/mask.h"

namespace heddle {

/// out_i = Σ_j p_ij v_j,  p_i = softmax_j(scale · q_i · k_j) over the keys that query i may attend to.
/// Scaled dot-product attention (Vaswani et al., 2017, section 3.2.1) with grouped heads (Ainslie et al., 2023), in
/// one pass over the keys without a Tq × Tk matrix (Dao et al., 2022, algorithm 1).
///
///   q           [Bq, Tq, H, Dk] of a float dtype, innermost axis dense; H is a multiple of Hkv
///   cu_seqlens  [B + 1] int32: queries cu[b] … cu[b + 1] - 1, counted along [Bq · Tq], are those of sequence b
///   cache       keys and values, those of this call's queries included; lengths without them
///   out         [Bq, Tq, H, Dv], dense, of q's dtype, as the cache is
///   lse         [Bq, Tq, H] float32, dense, or null: ln Σ_j e^(score_ij) over those keys, -∞ where there is none
///
/// Query i of sequence b stands at key position lengths[b] + i. With `causal` it sees the keys up to that position,
/// else all lengths[b] + (cu[b + 1] - cu[b]); of these, those that `mask` keeps. A row that sees nothing gives 0.
///
/// Arithmetic: float32; of half dtypes, p is rounded to the dtype before it meets v, and the sum below it is not. The
/// keys of a row are taken in blocks of kPageKeys within spans of kSpanBlocks blocks, both at fixed positions; an
/// online softmax runs over the blocks of a span, and spans are merged in order. So a row's bytes depend on nothing but
/// its own query and keys. The level amx multiplies bfloat16 as it does for Linear.
struct Attention {
  static constexpr const char* kName = "attention";
  static constexpr int64_t kSpanBlocks = 8;

  const Tensor* q;
  const Tensor* cu_seqlens;
  PagedKV cache;
  float scale;
  bool causal;
  MaskOperand mask{};
  Tensor* out = nullptr;
  Tensor* lse = nullptr;

  std::array<const Tensor*, 10> reads() const {
    return {q,         cu_seqlens,   cache.pages,  cache.block_table, cache.lengths,
            mask.code, mask.data[0], mask.data[1], mask.data[2],      mask.data[3]};
  }
  std::array<Tensor*, 2> writes() const { return {out, lse}; }
};

struct AttentionResult {
  Tensor* out;
  Tensor* lse;  // null unless it was asked for
};

/// Ragged queries over a cache; op.mask is made of `mask`. Throws TypeError or RangeError for what does not fit, and
/// for a scale that is not a finite number.
AttentionResult attention(Runtime& runtime, Attention op, const MaskExpression& mask, bool return_lse);

/// Dense queries over given keys and values:
///
///   q  [B, H, Tq, Dk], k  [B, Hkv, Tk, Dk], v  [B, Hkv, Tk, Dv], of one float dtype, any strides
///
/// Query i stands at key position Tk - Tq + i. Gives out [B, H, Tq, Dv], laid out so that the transpose to
/// [B, Tq, H · Dv] is dense, and lse [B, H, Tq].
struct DenseAttention {
  const Tensor* q;
  const Tensor* k;
  const Tensor* v;
  float scale;
  bool causal;
  MaskExpression mask;
};
AttentionResult attention(Runtime& runtime, const DenseAttention& op, bool return_lse);

}  // namespace heddle
