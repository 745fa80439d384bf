#include <algorithm>

#include "cuda/attention_half.h"
#include "cuda/attention_tile.h"
#include "cuda/kernels.h"
#include "ops/attention.h"

namespace heddle::cuda {
namespace {

template <int RowsPerWarp>
using Probabilities = float[kAttentionWarps][RowsPerWarp * kKeys];

/// The rows of one tile over the keys that they may attend to, or over one span of them: a block a tile (x), and a
/// slice of value columns and a span (y). The scores of a tile are computed again for each slice of columns. Plain: see
/// is_plain.
template <int RowsPerWarp, int Width, bool Plain>
HEDDLE_KERNEL(kAttentionThreads)
attend(HEDDLE_PARAMETER Problem<float> p, unsigned long long* failure) {
  HEDDLE_SHARED(Stages, stages);
  HEDDLE_SHARED(Probabilities<RowsPerWarp>, all_probabilities);
  HEDDLE_SHARED(PageScales, scales);
  constexpr int kRows = kAttentionWarps * RowsPerWarp;
  if (block_x() == 0 && block_y() == 0) check_pages(p.pages, INT32_MIN, failure);
  const RowTile tile = tile_at(p, block_x(), kRows);
  if (tile.rows == 0) return;
  const int64_t most = limit_of(p, tile, tile.rows - 1);
  const int64_t column_slices = p.pages.value_width > Width ? (p.pages.value_width + Width - 1) / Width : 1;
  const auto column = static_cast<int32_t>(block_y() % column_slices * Width);
  const auto span = static_cast<int32_t>(block_y() / column_slices);
  constexpr int32_t kSpan = Attention::kSpanBlocks;
  const int32_t first = p.split ? span * kSpan : 0;
  auto end = static_cast<int32_t>((most + kKeys - 1) / kKeys);
  if (p.split && first + kSpan < end) end = first + kSpan;
  if (p.split && first >= end) return;

  WarpRows<RowsPerWarp, Width> rows(p, tile);
  rows.reset();
  float* const probabilities = all_probabilities[warp_index()];
  RowState<float> total[RowsPerWarp];
  float out[RowsPerWarp][WarpRows<RowsPerWarp, Width>::kColumns] = {};
  if constexpr (!Plain) {
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      if (rows.first + r < tile.rows) total[r] = first_state(p, head_of(p, tile, rows.first + r));
    }
  }

  const int32_t first_block = next_block(p, tile, first, end);
  Slices<kRows, Width> slices{p, tile, first_block, end, column, scales};
  slices.find_query();
  for (int s = 0; s < kStages - 1; ++s) slices.start(stages[s]);
  int turn = 0;
  const auto next = [&](int floats) -> const float* {
    wait_copies<kStages - 2>();
    slices.land(stages[turn], floats);
    sync_block();  // the slice is there, and nobody reads the one before it any more
    slices.start(stages[(turn + kStages - 1) % kStages]);
    const float* const stage = stages[turn];
    turn = (turn + 1) % kStages;
    return stage;
  };

  for (int32_t block = first_block; block < end;) {
    const bool idle = block * kKeys >= rows.most;  // none of the warp's rows sees a key of the block
    rows.reset_scores();
    for (int s = 0; s < slices.key_slices(); ++s) {
      const float* const stage = next(slices.kKeyFloats);
      if (!idle) rows.multiply_keys(stage);
    }
    if (!idle) rows.template absorb_scores<Plain>(p, tile, block, scales, probabilities);
    for (int s = 0; s < slices.kValueSlices; ++s) {
      const float* const stage = next(slices.kValueFloats);
      if (!idle) rows.multiply_values(stage, s * kDepth, probabilities);
    }
    const int32_t span_end = (block / kSpan + 1) * kSpan;
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
    const int64_t row = out_row(p, tile, rows.first + r);
    const int64_t part = row * p.num_spans + span;
    if (column == 0 && lane_index() == 0) {
      if (p.split) {
        p.states[part] = rows.state[r];
      } else if (p.lse) {
        p.lse[row] = log_sum(total[r]);
      }
    }
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

template <int Width>
Status run_width(const Problem<float>& p, CudaContext& context) {
  const int64_t column_slices = ceil_div(std::max<int64_t>(1, p.pages.value_width), Width);
  const int64_t rows = p.pages.tokens * p.group;
  const auto launch_rows = [&](auto kernel, int rows_per_warp) {
    const int64_t tile_rows = kAttentionWarps * rows_per_warp;
    const int64_t tiles = (rows / tile_rows + std::min(p.pages.batch, p.pages.tokens)) * p.pages.kv_heads;
    const Grid grid{std::max<int64_t>(1, tiles), kAttentionThreads, column_slices * (p.split ? p.num_spans : 1)};
    return launch(kernel, grid, context, p, context.failure);
  };
  const bool small = rows <= 2 * kAttentionWarps * p.pages.batch;
  if (is_plain(p)) return small ? launch_rows(attend<1, Width, true>, 1) : launch_rows(attend<8, Width, true>, 8);
  return small ? launch_rows(attend<1, Width, false>, 1) : launch_rows(attend<4, Width, false>, 4);
}

Status attend_float(Problem<float> p, CudaContext& context) {
  const int64_t rows = p.pages.tokens * p.heads;
  if (p.num_spans > 1 && rows <= 2 * context.multiprocessors) {
    const Status status = allocate_spans(p, context);
    if (status != kSuccess) return status;
  }
  const Status status = p.pages.value_width <= 64 ? run_width<64>(p, context) : run_width<128>(p, context);
  if (status != kSuccess || !p.split) return status;
  return launch(merge_spans<float>, {rows, kMergeThreads}, context, p);
}

template <typename T>
Problem<T> problem_of(const Attention& op) {
  Problem<T> p = scores_of<T>(op.scores);
  p.sinks = op.sinks ? op.sinks->data<float>() : nullptr;
  p.out = op.out->data<T>();
  p.lse = op.lse ? op.lse->data<float>() : nullptr;
  p.num_spans = ceil_div(p.pages.pages_per_sequence, Attention::kSpanBlocks);
  return p;
}

}  // namespace

Status run(const Attention& op, CudaContext& context) {
  return with_float_type(op.scores.q->dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, float>) {
      return attend_float(problem_of<T>(op), context);
    } else {
      const Problem<T> problem = problem_of<T>(op);
      // Products of wgmma read what a copy in bulk brings; bytes would need threads of their own to widen them.
      const bool bulk = problem.pages.dtype != DType::kInt8;
      return is_hopper(context) && bulk ? attend_hopper(problem, context) : attend_half(problem, context);
    }
  });
}

}  // namespace heddle::cuda
