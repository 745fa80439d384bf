#pragma once

#include "cuda/bias.h"
#include "cuda/launch.h"
#include "cuda/mask.h"
#include "cuda/online_softmax.h"
#include "cuda/pages.h"
#include "ops/attention.h"

namespace heddle::cuda {

constexpr int kKeys = static_cast<int>(kPageKeys);
constexpr int kMergeThreads = 128;
constexpr int kSpanKeys = static_cast<int>(Attention::kSpanBlocks) * kKeys;

/// T is the dtype of queries and results; that of pages may be a smaller one: see check_goes_with.
template <typename T>
struct Problem {
  Pages pages;
  const T* q;
  int64_t q_length;  // tokens of a sequence in q's batch
  int64_t q_batch_step, q_token_step, q_head_step;
  bool q_aligned;  // its rows may be read 16 bytes at a time
  int64_t heads;
  int64_t group;           // query heads that share a key head
  const int32_t* offsets;  // position of a sequence's first query; null: behind its earlier keys
  float scale;
  bool causal;
  float softcap;  // 0: none
  Mask mask;
  Bias bias;
  const float* sinks;  // [heads] or null
  T* out;              // [tokens, heads, value_width]
  float* lse;          // [tokens, heads] or null
  /// With spans on blocks of their own: per row and span, kept until they are merged.
  bool split;
  int64_t num_spans;
  RowState<T>* states;  // [tokens · heads, num_spans]
  float* values;        // [tokens · heads, num_spans, value_width]
};

/// What of a problem gives the scores.
template <typename T>
Problem<T> scores_of(const ScoreInputs& inputs) {
  const Tensor& q = *inputs.q;
  const int64_t tokens = q.shape[0] * q.shape[1], heads = q.shape[2];
  Problem<T> p{};
  p.pages = pages_of(inputs.cache, inputs.cu_seqlens, tokens, inputs.cross);
  p.q = q.data<T>();
  p.q_length = q.shape[1];
  p.q_batch_step = q.strides[0];
  p.q_token_step = q.strides[1];
  p.q_head_step = q.strides[2];
  constexpr int64_t kWhole = 16 / sizeof(T);
  p.q_aligned = is_aligned(p.q) && (p.q_batch_step | p.q_token_step | p.q_head_step | p.pages.key_width) % kWhole == 0;
  p.heads = heads;
  p.group = heads / p.pages.kv_heads;
  p.offsets = inputs.offsets ? inputs.offsets->data<int32_t>() : nullptr;
  p.scale = inputs.scale;
  p.causal = inputs.causal;
  p.softcap = inputs.softcap;
  p.mask = mask_of(inputs.mask);
  p.bias = bias_of(inputs.bias);
  return p;
}

/// Some rows of one sequence and one key head. A row is one query of one head; the heads that share keys lie together.
struct RowTile {
  int32_t b;
  int32_t kv_head;
  int32_t first_row;
  int32_t rows;
  Sequence sequence;
};

/// Tile `index` of the grid; no rows past the last. Of a sequence the last rows come first, which may have most keys.
template <typename T>
HEDDLE_DEVICE RowTile tile_at(const Problem<T>& p, int64_t index, int tile_rows) {
  for (int32_t b = 0; b < p.pages.batch; ++b) {
    const Sequence sequence = sequence_of(p.pages, b);
    const int64_t rows = sequence.tokens * p.group, per_head = (rows + tile_rows - 1) / tile_rows;
    if (index < per_head * p.pages.kv_heads) {
      const int64_t first = (per_head - 1 - index / p.pages.kv_heads) * tile_rows, left = rows - first;
      const auto kv_head = static_cast<int32_t>(index % p.pages.kv_heads);
      return {b, kv_head, static_cast<int32_t>(first), left < tile_rows ? static_cast<int32_t>(left) : tile_rows,
              sequence};
    }
    index -= per_head * p.pages.kv_heads;
  }
  return {};
}

template <typename T>
HEDDLE_DEVICE int64_t query_of(const Problem<T>& p, const RowTile& tile, int64_t row) {
  return tile.sequence.first + (tile.first_row + row) / p.group;
}
template <typename T>
HEDDLE_DEVICE int64_t head_of(const Problem<T>& p, const RowTile& tile, int64_t row) {
  return tile.kv_head * p.group + (tile.first_row + row) % p.group;
}

/// Position of the first query of sequence b.
template <typename T>
HEDDLE_DEVICE int64_t offset_of(const Problem<T>& p, const Sequence& sequence, int64_t b) {
  return p.offsets ? p.offsets[b] : sequence.keys - sequence.tokens;
}

/// Keys that a query may attend to: 0 … limit - 1.
template <typename T>
HEDDLE_DEVICE int64_t limit_of(const Problem<T>& p, const Sequence& sequence, int64_t b, int64_t query) {
  if (!p.causal) return sequence.keys;
  const int64_t limit = offset_of(p, sequence, b) + query - sequence.first + 1;
  return limit < 0 ? 0 : limit < sequence.keys ? limit : sequence.keys;
}

template <typename T>
HEDDLE_DEVICE int64_t limit_of(const Problem<T>& p, const RowTile& tile, int64_t row) {
  return limit_of(p, tile.sequence, tile.b, query_of(p, tile, row));
}

template <typename T>
HEDDLE_DEVICE MaskRows mask_rows(const Problem<T>& p, const RowTile& tile, int64_t row) {
  return {tile.b, head_of(p, tile, row), offset_of(p, tile.sequence, tile.b), tile.sequence.keys};
}
/// For rectangles: of all rows.
template <typename T>
HEDDLE_DEVICE MaskRows mask_rows(const Problem<T>& p, const RowTile& tile) {
  const int64_t offset = offset_of(p, tile.sequence, tile.b);
  return {tile.b, tile.kv_head * p.group, offset, tile.sequence.keys, p.group};
}
/// Where the query of a row stands among the keys.
template <typename T>
HEDDLE_DEVICE int64_t position_of(const Problem<T>& p, const RowTile& tile, int64_t row) {
  return offset_of(p, tile.sequence, tile.b) + query_of(p, tile, row) - tile.sequence.first;
}

/// q · k of a row and a key → its score, before the mask; -∞ where the bias masks it, whatever the product is.
template <typename T>
HEDDLE_DEVICE float score_inline(const Problem<T>& p, const RowTile& tile, int64_t row, int64_t key, float product,
                                 ScoreStage stage) {
  const int64_t token = query_of(p, tile, row);
  const BiasRow at{tile.b, head_of(p, tile, row),    tile.kv_head, token - tile.sequence.first,
                   token,  position_of(p, tile, row)};
  if (p.bias.code) product += bias_at(p.bias, true, at, key);
  float score = product * p.scale;
  if (stage == ScoreStage::kProduct) return score;
  if (p.softcap > 0.0f) score = p.softcap * tanhf(score / p.softcap);
  if (stage == ScoreStage::kCapped || !p.bias.code) return score;
  const float added = bias_at(p.bias, false, at, key);
  return added == -kInfinity ? added : score + added;
}

template <typename T>
HEDDLE_DEVICE_CALL float score_of(const Problem<T>& p, const RowTile& tile, int64_t row, int64_t key, float product,
                                  ScoreStage stage) {
  return score_inline(p, tile, row, key, product, stage);
}

/// Whether scores need more than a scale.
template <typename T>
bool is_plain(const Problem<T>& p) {
  return p.softcap == 0.0f && !p.bias.code && !p.sinks;
}

/// What a head has of its softmax before the first key: its sink.
template <typename T>
HEDDLE_DEVICE RowState<T> first_state(const Problem<T>& p, int64_t head) {
  if (!p.sinks || p.sinks[head] == -kInfinity) return {};
  return {p.sinks[head] * RowState<T>::kUnit, 1.0f};
}

/// What the mask says of a tile and a key block; beyond it, rows have their limits.
template <typename T>
HEDDLE_DEVICE Cover cover_of_block(const Problem<T>& p, const RowTile& tile, int32_t block) {
  if (!p.mask.code) return Cover::kAll;
  return cover_of(p.mask, mask_rows(p, tile), position_of(p, tile, 0), position_of(p, tile, tile.rows - 1) + 1,
                  block * kKeys, (block + 1) * kKeys);
}

/// The first block from `block` on that some row may attend to, or `end`. A warp answers together.
template <typename T>
HEDDLE_DEVICE int32_t next_block(const Problem<T>& p, const RowTile& tile, int32_t block, int32_t end) {
  while (block < end && cover_of_block(p, tile, block) == Cover::kNone) ++block;
  return block;
}

/// The row's query, [key_width].
template <typename T>
HEDDLE_DEVICE const T* query_at(const Problem<T>& p, const RowTile& tile, int64_t row) {
  const int64_t n = query_of(p, tile, row);
  return p.q + n / p.q_length * p.q_batch_step + n % p.q_length * p.q_token_step +
         head_of(p, tile, row) * p.q_head_step;
}

/// Where the row stands in out and lse, [tokens · heads].
template <typename T>
HEDDLE_DEVICE int64_t out_row(const Problem<T>& p, const RowTile& tile, int64_t row) {
  return query_of(p, tile, row) * p.heads + head_of(p, tile, row);
}

/// Each span of each row on a block of its own, then `merge_spans`: few rows over many keys leave most of the device
/// idle else. The bytes are the same.
template <typename T>
Status allocate_spans(Problem<T>& p, CudaContext& context) {
  const size_t parts = static_cast<size_t>(p.pages.tokens * p.heads * p.num_spans);
  void* const scratch = context.allocate(
      context.owner, parts * (sizeof(RowState<T>) + static_cast<size_t>(p.pages.value_width) * sizeof(float)));
  if (!scratch) return kOutOfMemory;
  p.split = true;
  p.states = static_cast<RowState<T>*>(scratch);
  p.values = reinterpret_cast<float*>(p.states + parts);
  return kSuccess;
}

/// The spans of a row, in order: a block a row.
template <typename T>
HEDDLE_KERNEL(kMergeThreads)
merge_spans(HEDDLE_PARAMETER Problem<T> p) {
  const int64_t row = block_x(), query = row / p.heads;
  const int64_t b = sequence_at(p.pages, query);
  const Sequence sequence = sequence_of(p.pages, b);
  if (query < sequence.first || query >= sequence.first + sequence.tokens) return;
  const int64_t spans = (limit_of(p, sequence, b, query) + kSpanKeys - 1) / kSpanKeys;
  const int64_t width = p.pages.value_width;
  for (int64_t at = thread_index(); at < width; at += kMergeThreads) {
    RowState<T> total = first_state(p, row % p.heads);
    float out = 0.0f;
    constexpr int kTogether = 8;  // are read before the first of them is merged
    for (int64_t first = 0; first < spans; first += kTogether) {
      RowState<T> states[kTogether];
      float values[kTogether];
      HEDDLE_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        const int64_t part = row * p.num_spans + first + i;
        if (first + i < spans) states[i] = p.states[part];
        values[i] = first + i < spans ? p.values[part * width + at] : 0.0f;
      }
      HEDDLE_UNROLL
      for (int i = 0; i < kTogether; ++i) {
        if (states[i].sum == 0.0f) continue;
        const Shares shares = merge(total, states[i]);
        out = merge_value(out, values[i], shares);
      }
    }
    p.out[row * width + at] = narrow<T>(finish(out, total));
    if (p.lse && at == 0) p.lse[row] = log_sum(total);
  }
}

}  // namespace heddle::cuda
