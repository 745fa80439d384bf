#pragma once

#include "cuda/mask.h"
#include "cuda/online_softmax.h"
#include "cuda/pages.h"
#include "ops/attention.h"

namespace heddle::cuda {

constexpr int kKeys = static_cast<int>(kPageKeys);
constexpr int kSpanKeys = static_cast<int>(Attention::kSpanBlocks) * kKeys;

struct Problem {
  Pages pages;
  const float* q;
  int64_t q_length;  // tokens of a sequence in q's batch
  int64_t q_batch_step, q_token_step, q_head_step;
  bool q_aligned;
  int64_t heads;
  int64_t group;  // query heads that share a key head
  float scale;
  bool causal;
  Mask mask;
  float* out;  // [tokens, heads, value_width]
  /// With spans on blocks of their own: per row and span, kept until they are merged.
  bool split;
  int64_t num_spans;
  RowState* states;  // [tokens · heads, num_spans]
  float* values;     // [tokens · heads, num_spans, value_width]
};

/// Some rows of one sequence and one key head. A row is one query of one head; the heads that share keys lie together.
struct RowTile {
  int64_t b;
  int64_t kv_head;
  int64_t first_row;
  int64_t rows;
  Sequence sequence;
};

/// Tile `index` of the grid, tiles of a sequence and key head together; no rows past the last.
HEDDLE_DEVICE RowTile tile_at(const Problem& p, int64_t index, int tile_rows) {
  for (int64_t b = 0; b < p.pages.batch; ++b) {
    const Sequence sequence = sequence_of(p.pages, b);
    const int64_t rows = sequence.tokens * p.group, per_head = (rows + tile_rows - 1) / tile_rows;
    if (index < per_head * p.pages.kv_heads) {
      const int64_t first = index % per_head * tile_rows, left = rows - first;
      return {b, index / per_head, first, left < tile_rows ? left : tile_rows, sequence};
    }
    index -= per_head * p.pages.kv_heads;
  }
  return {};
}

HEDDLE_DEVICE int64_t query_of(const Problem& p, const RowTile& tile, int64_t row) {
  return tile.sequence.first + (tile.first_row + row) / p.group;
}
HEDDLE_DEVICE int64_t head_of(const Problem& p, const RowTile& tile, int64_t row) {
  return tile.kv_head * p.group + (tile.first_row + row) % p.group;
}

/// Keys that a query may attend to: 0 … limit - 1.
HEDDLE_DEVICE int64_t limit_of(const Problem& p, const Sequence& sequence, int64_t query) {
  const int64_t limit = p.causal ? sequence.keys - sequence.tokens + query - sequence.first + 1 : sequence.keys;
  return limit > 0 ? limit : 0;
}

HEDDLE_DEVICE int64_t limit_of(const Problem& p, const RowTile& tile, int64_t row) {
  return limit_of(p, tile.sequence, query_of(p, tile, row));
}

HEDDLE_DEVICE MaskRows mask_rows(const Problem& p, const RowTile& tile, int64_t row) {
  return {tile.b, head_of(p, tile, row), tile.sequence.keys - tile.sequence.tokens};
}
/// Where the query of a row stands among the keys.
HEDDLE_DEVICE int64_t position_of(const Problem& p, const RowTile& tile, int64_t row) {
  return tile.sequence.keys - tile.sequence.tokens + query_of(p, tile, row) - tile.sequence.first;
}

/// What the mask says of a tile and a key block; beyond it, rows have their limits.
HEDDLE_DEVICE Cover cover_of_block(const Problem& p, const RowTile& tile, int64_t block) {
  if (!p.mask.code) return Cover::kAll;
  return cover_of(p.mask, mask_rows(p, tile, 0), position_of(p, tile, 0), position_of(p, tile, tile.rows - 1) + 1,
                  block * kKeys, (block + 1) * kKeys);
}

/// The first block from `block` on that some row may attend to, or `end`. A warp answers together.
HEDDLE_DEVICE int64_t next_block(const Problem& p, const RowTile& tile, int64_t block, int64_t end) {
  while (block < end && cover_of_block(p, tile, block) == Cover::kNone) ++block;
  return block;
}

}  // namespace heddle::cuda
