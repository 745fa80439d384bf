#pragma once

#include <algorithm>
#include <type_traits>

#include "core/kernel_context.h"
#include "cpu/bias.h"
#include "cpu/mask.h"
#include "cpu/math.h"
#include "cpu/product.h"
#include "ops/attention.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Rows of a tile: a row is one query of one head; the heads that share keys lie together.
constexpr int64_t kScoreRows = 8 * kTileRows;

/// Some rows of one sequence and one key head.
struct ScoreTile {
  int64_t sequence;
  int64_t kv_head;
  int64_t first_row;
  int64_t rows;
};

/// body(C{}) with what a cache's keys and values are.
template <typename Body>
auto with_cache_type(const PagedKV& cache, const Body& body) {
  if (cache.pages->dtype == DType::kInt8) return body(int8_t{});
  return with_product_type(cache.pages->dtype, body);
}

/// Where the rows, keys and scores of an attention lie. C: what keys and values are.
template <typename C>
class Scorer {
 public:
  using P = Product<C>;
  explicit Scorer(const ScoreInputs& inputs)
      : inputs_(inputs),
        cu_(inputs.cu_seqlens->data<int32_t>()),
        lengths_(inputs.cache.lengths->data<int32_t>()),
        offsets_(inputs.offsets ? inputs.offsets->data<int32_t>() : nullptr),
        kv_heads_(inputs.cache.pages->shape[1]),
        group_(inputs.q->shape[2] / kv_heads_),
        mask_(inputs.mask),
        bias_(inputs.bias) {}

  int64_t batch() const { return inputs_.cache.lengths->numel(); }
  int64_t kv_heads() const { return kv_heads_; }
  int64_t key_width() const { return inputs_.cache.shape.key_width; }
  int64_t queries(int64_t sequence) const { return cu_[sequence + 1] - cu_[sequence]; }
  /// Of one key head.
  int64_t rows(int64_t sequence) const { return queries(sequence) * group_; }
  int64_t keys(int64_t sequence) const { return lengths_[sequence] + (inputs_.cross ? 0 : queries(sequence)); }

  /// Keys that some row of the tile may attend to lie below.
  int64_t limit(const ScoreTile& tile) const { return limit_of(tile, tile.rows - 1); }  // limits rise with the queries

  int64_t query_of(const ScoreTile& tile, int64_t r) const { return (tile.first_row + r) / group_; }
  int64_t head_of(const ScoreTile& tile, int64_t r) const {
    return tile.kv_head * group_ + (tile.first_row + r) % group_;
  }
  int64_t token_of(const ScoreTile& tile, int64_t r) const { return cu_[tile.sequence] + query_of(tile, r); }
  int64_t position_of(const ScoreTile& tile, int64_t r) const {
    return first_position(tile.sequence) + query_of(tile, r);
  }

  /// Offset of a row in x [Bq, Tq, H, …].
  int64_t offset(const ScoreTile& tile, int64_t r, const Tensor* x) const {
    const int64_t n = token_of(tile, r);
    return n / x->shape[1] * x->strides[0] + n % x->shape[1] * x->strides[1] + head_of(tile, r) * x->strides[2];
  }

  /// Of a row of load_queries.
  int64_t query_width() const { return P::left_width(key_width()); }
  /// The queries of a tile as products take them: [rows, query_width()].
  void load_queries(const ScoreTile& tile, typename P::Left* q) const {
    with_product_type(inputs_.q->dtype, [&](auto type) {
      const auto* const from = inputs_.q->data<decltype(type)>();
      for (int64_t r = 0; r < tile.rows; ++r) {
        P::load_row(from + offset(tile, r, inputs_.q), key_width(), q + r * query_width());
      }
    });
  }

  /// Whether the mask keeps no key in [begin, end) for any row.
  bool skips(const ScoreTile& tile, int64_t begin, int64_t end) const {
    return !mask_.empty() && cover(tile, begin, end) == Cover::kNone;
  }

  /// Bit j of keep[r]: whether row r may attend to key + j. Returns the union.
  uint64_t visible(const ScoreTile& tile, int64_t key, uint64_t* keep) const {
    uint64_t seen = 0;
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t count = std::clamp<int64_t>(limit_of(tile, r) - key, 0, kPageKeys);
      keep[r] = count == kPageKeys ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
      seen |= keep[r];
    }
    if (mask_.empty()) return seen;
    const Cover what = cover(tile, key, key + kPageKeys);
    if (what != Cover::kMixed) return what == Cover::kAll ? seen : 0;
    seen = 0;
    for (int64_t r = 0; r < tile.rows; ++r) {
      if (keep[r] != 0) keep[r] &= mask_.word(mask_rows(tile, r), position_of(tile, r), key);
      seen |= keep[r];
    }
    return seen;
  }

  /// q · k of a block, [rows, kPageKeys].
  void multiply(const ScoreTile& tile, int64_t key, const typename P::Left* q, float* scores) const {
    const C* const keys = page(tile, key);
    P::multiply(tile.rows, kPageKeys, key_width(), q, keys, scores);
    if constexpr (kScaled) apply_scales(tile.rows, scales_of(keys), ~uint64_t{0}, scores);
  }

  /// out [rows, padded value width] += p · v of a block, whose keys `seen` some row of p [rows, kPageKeys] may attend
  /// to; p is changed.
  void add_values(const ScoreTile& tile, int64_t key, float* p, uint64_t seen, float* out) const {
    const PageShape& shape = inputs_.cache.shape;
    const C* const keys = page(tile, key);
    if constexpr (kScaled) apply_scales(tile.rows, scales_of(keys) + kPageKeys, seen, p);
    P::add_values(tile.rows, shape.padded_value_width(), p, seen, keys + shape.value_offset(), out);
  }

  /// q · k of a block and a row → what `stage` says, up to kMasked.
  void finish(const ScoreTile& tile, int64_t r, int64_t key, ScoreStage stage, uint64_t& keep, float* scores) const {
    const BiasRow row{tile.sequence,     head_of(tile, r),  tile.kv_head,
                      query_of(tile, r), token_of(tile, r), position_of(tile, r)};
    if (bias_.has(true)) bias_.add(true, row, key, kPageKeys, scores);
    const Vec scale = Vec::set(inputs_.scale), cap = Vec::set(inputs_.softcap);
    const bool capped = inputs_.softcap > 0 && stage != ScoreStage::kProduct;
    for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
      Vec s = Vec::load(scores + j) * scale;
      if (capped) s = cap * tanh(s / cap);
      s.store(scores + j);
    }
    if (stage == ScoreStage::kProduct || stage == ScoreStage::kCapped) return;
    if (bias_.has(false)) {
      alignas(64) float added[kPageKeys] = {};
      bias_.add(false, row, key, kPageKeys, added);
      for (int j = 0; j < kPageKeys; ++j) {
        if (added[j] == -INFINITY) keep &= ~(uint64_t{1} << j);  // whatever the score is, NaN too
        scores[j] += added[j];
      }
    }
    const Vec minus_infinity = Vec::set(-INFINITY);
    for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
      select(Vec::from_bits(keep >> j), Vec::load(scores + j), minus_infinity).store(scores + j);
    }
  }

 private:
  static constexpr bool kScaled = std::is_same_v<C, int8_t>;

  /// The page of a key block: its keys, and behind them its values.
  const C* page(const ScoreTile& tile, int64_t key) const {
    const Tensor* const table = inputs_.cache.block_table;
    const Tensor* const pages = inputs_.cache.pages;
    const int64_t at = table->data<int32_t>()[tile.sequence * table->shape[1] + key / kPageKeys];
    return pages->data<C>() + (at * kv_heads_ + tile.kv_head) * pages->shape[2];
  }
  const float* scales_of(const C* page) const {
    return reinterpret_cast<const float*>(page + inputs_.cache.shape.scales_offset());
  }
  /// x [rows, kPageKeys] times a scale a key; those not `seen` may be anything.
  static void apply_scales(int64_t rows, const float* scales, uint64_t seen, float* x) {
    for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
      const Vec scale = select(Vec::from_bits(seen >> j), Vec::load(scales + j), Vec::set(0.0f));
      for (int64_t r = 0; r < rows; ++r) (Vec::load(x + r * kPageKeys + j) * scale).store(x + r * kPageKeys + j);
    }
  }

  MaskRows mask_rows(const ScoreTile& tile, int64_t r) const {
    return {tile.sequence, head_of(tile, r), first_position(tile.sequence), keys(tile.sequence)};
  }

  /// Of query 0.
  int64_t first_position(int64_t sequence) const {
    return offsets_ ? offsets_[sequence] : keys(sequence) - queries(sequence);
  }

  Cover cover(const ScoreTile& tile, int64_t begin, int64_t end) const {
    MaskRows rows = mask_rows(tile, 0);
    rows.head = tile.kv_head * group_;
    rows.heads = group_;
    return mask_.cover(rows, position_of(tile, 0), position_of(tile, tile.rows - 1) + 1, begin, end);
  }

  int64_t limit_of(const ScoreTile& tile, int64_t r) const {
    const int64_t all = keys(tile.sequence);
    return inputs_.causal ? std::clamp<int64_t>(position_of(tile, r) + 1, 0, all) : all;
  }

  const ScoreInputs& inputs_;
  const int32_t* const cu_;
  const int32_t* const lengths_;
  const int32_t* const offsets_;
  const int64_t kv_heads_;
  const int64_t group_;  // query heads that share a key head
  const MaskReader mask_;
  const BiasReader bias_;
};

/// Calls body(tile, worker) for every tile of rows.
template <typename C, typename Body>
void for_each_tile(const Scorer<C>& scorer, double ns_per_tile, KernelContext& context, const Body& body) {
  const auto tiles_per_head = [&](int64_t b) { return (scorer.rows(b) + kScoreRows - 1) / kScoreRows; };
  int64_t total = 0;
  for (int64_t b = 0; b < scorer.batch(); ++b) total += tiles_per_head(b) * scorer.kv_heads();
  context.parallel_for(total, ns_per_tile, [&](int64_t index, int worker) {
    ScoreTile tile{};
    while (index >= tiles_per_head(tile.sequence) * scorer.kv_heads()) {
      index -= tiles_per_head(tile.sequence++) * scorer.kv_heads();
    }
    const int64_t per_head = tiles_per_head(tile.sequence);
    tile.kv_head = index / per_head;
    tile.first_row = index % per_head * kScoreRows;
    tile.rows = std::min(kScoreRows, scorer.rows(tile.sequence) - tile.first_row);
    body(tile, worker);
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
