#include <algorithm>

#include "cuda/attention_tile.h"
#include "cuda/kernels.h"
#include "ops/attention.h"

namespace heddle::cuda {
namespace {

template <int RowsPerWarp>
using Probabilities = float[kAttentionWarps][RowsPerWarp * kKeys];

/// The rows of one tile over the keys that they may attend to, or over one span of them: a block a tile (x), and a
/// slice of value columns and a span (y). The scores of a tile are computed again for each slice of columns.
template <int RowsPerWarp, int Width>
HEDDLE_KERNEL(kAttentionThreads)
attend(HEDDLE_PARAMETER Problem p, unsigned long long* failure) {
  HEDDLE_SHARED(Stages, stages);
  HEDDLE_SHARED(Probabilities<RowsPerWarp>, all_probabilities);
  constexpr int kRows = kAttentionWarps * RowsPerWarp;
  if (block_x() == 0 && block_y() == 0) check_pages(p.pages, INT32_MIN, failure);
  const RowTile tile = tile_at(p, block_x(), kRows);
  if (tile.rows == 0) return;
  const int64_t most = limit_of(p, tile, tile.rows - 1);
  const int64_t column_slices = p.pages.value_width > Width ? (p.pages.value_width + Width - 1) / Width : 1;
  const int64_t column = block_y() % column_slices * Width, span = block_y() / column_slices;
  const int64_t first = p.split ? span * Attention::kSpanBlocks : 0;
  int64_t end = (most + kKeys - 1) / kKeys;
  if (p.split && first + Attention::kSpanBlocks < end) end = first + Attention::kSpanBlocks;
  if (p.split && first >= end) return;

  WarpRows<RowsPerWarp, Width> rows(p, tile);
  rows.reset();
  float* const probabilities = all_probabilities[warp_index()];
  RowState total[RowsPerWarp];
  float out[RowsPerWarp][WarpRows<RowsPerWarp, Width>::kColumns] = {};

  const int64_t first_block = next_block(p, tile, first, end);
  Slices<kRows, Width> slices{p, tile, first_block, end, column};
  slices.find_query();
  for (int s = 0; s < kStages - 1; ++s) slices.start(stages[s]);
  int turn = 0;
  const auto next = [&]() -> const float* {
    wait_copies<kStages - 2>();
    sync_block();  // the slice is there, and nobody reads the one before it any more
    slices.start(stages[(turn + kStages - 1) % kStages]);
    const float* const stage = stages[turn];
    turn = (turn + 1) % kStages;
    return stage;
  };

  for (int64_t block = first_block; block < end;) {
    const bool idle = block * kKeys >= rows.most;  // none of the warp's rows sees a key of the block
    rows.reset_scores();
    for (int s = 0; s < slices.key_slices(); ++s) {
      const float* const stage = next();
      if (!idle) rows.multiply_keys(stage);
    }
    if (!idle) rows.absorb_scores(p, tile, block, probabilities);
    for (int s = 0; s < slices.kValueSlices; ++s) {
      const float* const stage = next();
      if (!idle) rows.multiply_values(stage, s * kDepth, probabilities);
    }
    const int64_t span_end = (block / Attention::kSpanBlocks + 1) * Attention::kSpanBlocks;
    block = next_block(p, tile, block + 1, end);
    if (p.split || (block < span_end && block < end)) continue;
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      if (rows.state[r].sum == 0.0f) continue;
      const Shares shares = merge(total[r], rows.state[r]);
      HEDDLE_UNROLL
      for (int c = 0; c < rows.kColumns; ++c) out[r][c] = merge_value(out[r][c], rows.values[r][c], shares);
    }
    rows.reset();
  }

  HEDDLE_UNROLL
  for (int r = 0; r < RowsPerWarp; ++r) {
    if (rows.first + r >= tile.rows) continue;
    const int64_t row = query_of(p, tile, rows.first + r) * p.heads + head_of(p, tile, rows.first + r);
    const int64_t part = row * p.num_spans + span;
    if (p.split && column == 0 && lane_index() == 0) p.states[part] = rows.state[r];
    HEDDLE_UNROLL
    for (int c = 0; c < rows.kColumns; ++c) {
      const int64_t at = column + c * kWarp + lane_index();
      if (at >= p.pages.value_width) continue;
      if (p.split) {
        p.values[part * p.pages.value_width + at] = rows.values[r][c];
      } else {
        p.out[row * p.pages.value_width + at] = finish(out[r][c], total[r]);
      }
    }
  }
}

/// The spans of a row, in order: a block a row.
HEDDLE_KERNEL(kAttentionThreads) merge_spans(HEDDLE_PARAMETER Problem p) {
  const int64_t row = block_x(), query = row / p.heads;
  const Sequence sequence = sequence_of(p.pages, sequence_at(p.pages, query));
  if (query < sequence.first || query >= sequence.first + sequence.tokens) return;
  const int64_t spans = (limit_of(p, sequence, query) + kSpanKeys - 1) / kSpanKeys;
  const int64_t width = p.pages.value_width;
  for (int64_t at = thread_index(); at < width; at += kAttentionThreads) {
    RowState total;
    float out = 0.0f;
    for (int64_t part = row * p.num_spans; part < row * p.num_spans + spans; ++part) {
      if (p.states[part].sum == 0.0f) continue;
      const Shares shares = merge(total, p.states[part]);
      out = merge_value(out, p.values[part * width + at], shares);
    }
    p.out[row * width + at] = finish(out, total);
  }
}

template <int Width>
Status run_width(const Problem& p, CudaContext& context, int64_t num_spans) {
  const int64_t column_slices = ceil_div(std::max<int64_t>(1, p.pages.value_width), Width);
  const int64_t rows = p.pages.tokens * p.group;
  const bool small = rows <= 2 * kAttentionWarps * p.pages.batch;
  const int64_t tile_rows = kAttentionWarps * (small ? 1 : 8);
  const int64_t tiles = (rows / tile_rows + std::min(p.pages.batch, p.pages.tokens)) * p.pages.kv_heads;
  const Grid grid{std::max<int64_t>(1, tiles), kAttentionThreads, column_slices * (p.split ? num_spans : 1)};
  return launch(small ? attend<1, Width> : attend<8, Width>, grid, context, p, context.failure);
}

}  // namespace

Status run(const Attention& op, CudaContext& context) {
  const Tensor& q = *op.q;
  const int64_t tokens = q.shape[0] * q.shape[1], heads = q.shape[2], rows = tokens * heads;
  Problem p{};
  p.pages = pages_of(op.cache, op.cu_seqlens, tokens);
  p.q = q.data<float>();
  p.q_length = q.shape[1];
  p.q_batch_step = q.strides[0];
  p.q_token_step = q.strides[1];
  p.q_head_step = q.strides[2];
  p.q_aligned = is_aligned(p.q) && (p.q_batch_step | p.q_token_step | p.q_head_step | p.pages.key_width) % 4 == 0;
  p.heads = heads;
  p.group = heads / p.pages.kv_heads;
  p.scale = op.scale;
  p.causal = op.causal;
  p.mask = mask_of(op.mask);
  p.out = op.out->data<float>();
  p.num_spans = ceil_div(p.pages.pages_per_sequence, Attention::kSpanBlocks);
  // Few rows over many keys leave most of the device idle: then a span is a block's work. The bytes are the same.
  p.split = rows > 0 && p.num_spans > 1 && rows <= 2 * context.multiprocessors;
  if (p.split) {
    const size_t parts = static_cast<size_t>(rows * p.num_spans);
    void* const scratch = context.allocate(
        context.owner, parts * (sizeof(RowState) + static_cast<size_t>(p.pages.value_width) * sizeof(float)));
    if (!scratch) return kOutOfMemory;
    p.states = static_cast<RowState*>(scratch);
    p.values = reinterpret_cast<float*>(p.states + parts);
  }
  const Status status =
      p.pages.value_width <= 64 ? run_width<64>(p, context, p.num_spans) : run_width<128>(p, context, p.num_spans);
  if (status != kSuccess || !p.split) return status;
  return launch(merge_spans, {rows, kAttentionThreads}, context, p);
}

}  // namespace heddle::cuda
