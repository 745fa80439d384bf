#pragma once

#include <algorithm>
#include <cfloat>

#include "cuda/attention_mma.h"
#include "cuda/lanes.h"

// What kernels for halves do with their rows before and after the loop over key blocks.

namespace heddle::cuda {

/// What a launch adds to the problem.
struct Plan {
  float factor;   // |scale| / ln 2: turns scores into powers of 2
  bool negative;  // the scale: scores change their sign first
  bool aligned;   // rows of out may be written 16 bytes at a time
  float* parked;  // [blocks, kParked, kThreads, 4]: what a block has of the spans before
};

/// See first_state; of row `half` of the lane's rows of 16.
template <typename Tile, typename T>
HEDDLE_DEVICE RowState<T> first_state_of(const Problem<T>& p, const RowTile& tile, const HalfRows<Tile, T>& rows, int i,
                                         int half) {
  const int r = rows.first() + i * 16 + half * 8 + lane_row();
  return r < tile.rows ? first_state(p, head_of(p, tile, r)) : RowState<T>{};
}
template <typename Tile, typename T>
HEDDLE_DEVICE void start_states(const Problem<T>& p, const RowTile& tile, HalfRows<Tile, T>& rows) {
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    HEDDLE_UNROLL
    for (int half = 0; half < 2; ++half) rows.state[i][half] = first_state_of(p, tile, rows, i, half);
  }
}

/// What a thread has of the spans before, in memory.
template <typename Tile>
class ParkedTotals {
 public:
  HEDDLE_DEVICE explicit ParkedTotals(const Plan& plan)
      : own_(reinterpret_cast<float4*>(plan.parked) + block_x() * Tile::kParked * Tile::kThreads +
             fresh(thread_index())) {}
  HEDDLE_DEVICE float4& operator[](int index) const { return own_[index * Tile::kThreads]; }

 private:
  float4* own_;
};

/// What `rows` hold of a span joins the total, which is in `rows` then if the span was the last. Until then it is in
/// `totals`, values and states alike.
template <bool Plain, typename Tile, typename T, typename Totals>
HEDDLE_DEVICE void merge_span(const Problem<T>& p, const RowTile& tile, HalfRows<Tile, T>& rows, Totals&& totals,
                              bool first, bool last) {
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    constexpr int kFours = Tile::kWidth / 8 + 1;  // a state, then the values
    RowState<T> total[2];
    if constexpr (!Plain) {
      HEDDLE_UNROLL
      for (int half = 0; half < 2; ++half) total[half] = first_state_of(p, tile, rows, i, half);
    }
    if (!first) {
      const float4 before = totals[i * kFours];
      total[0] = {before.x, before.y};
      total[1] = {before.z, before.w};
    }
    const Shares shares[2] = {merge(total[0], rows.state[i][0]), merge(total[1], rows.state[i][1])};
    HEDDLE_UNROLL
    for (int j = 0; j < Tile::kWidth / 8; ++j) {
      if (j % 8 == 0) sync_warp();  // no more than eight are read at a time: there are no registers for all
      float4& at = totals[i * kFours + 1 + j];
      float(&v)[4] = rows.values[i][j];
      const float4 before = first ? float4{0.0f, 0.0f, 0.0f, 0.0f} : at;
      v[0] = merge_value(before.x, v[0], shares[0]);
      v[1] = merge_value(before.y, v[1], shares[0]);
      v[2] = merge_value(before.z, v[2], shares[1]);
      v[3] = merge_value(before.w, v[3], shares[1]);
      if (!last) at = {v[0], v[1], v[2], v[3]};
    }
    if (last) {
      rows.state[i][0] = total[0];
      rows.state[i][1] = total[1];
    } else {
      totals[i * kFours] = {total[0].max, total[0].sum, total[1].max, total[1].sum};
    }
  }
}

/// Keeps what a warp has of one span of its rows, for `merge_spans`.
template <typename Tile, typename T>
HEDDLE_DEVICE void write_span(const Problem<T>& p, const RowTile& tile, const HalfRows<Tile, T>& rows) {
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    HEDDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int r = rows.first() + i * 16 + half * 8 + lane_row();
      if (r >= tile.rows) continue;
      const int64_t part = out_row(p, tile, r) * p.num_spans + block_y();
      if (lane_column() == 0) p.states[part] = rows.state[i][half];
      const int left = fresh(static_cast<int>(p.pages.value_width)) - lane_column();
      float* const to = p.values + part * p.pages.value_width + lane_column();
      HEDDLE_UNROLL
      for (int j = 0; j < Tile::kWidth / 8; ++j) {
        if (j * 8 < left) to[j * 8] = rows.values[i][j][half * 2];
        if (j * 8 + 1 < left) to[j * 8 + 1] = rows.values[i][j][half * 2 + 1];
      }
    }
  }
}

/// Writes a warp's results, by way of where its queries were: then a lane has whole chunks of a row.
template <typename Tile, typename T>
HEDDLE_DEVICE void write_rows(const Problem<T>& p, const Plan& plan, const RowTile& tile, const HalfRows<Tile, T>& rows,
                              T* queries) {
  constexpr int kChunks = Tile::kWidth / kChunk;
  T* const own = queries + rows.first() * Tile::kWidth;
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    HEDDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int r = i * 16 + half * 8 + lane_row();
      const RowState<T>& state = rows.state[i][half];
      HEDDLE_UNROLL
      for (int j = 0; j < kChunks; ++j) {
        const float* const two = &rows.values[i][j][half * 2];
        *reinterpret_cast<uint32_t*>(own + swizzled<kChunks>(r, j) + lane_column()) =
            narrow_two<T>(finish(two[0], state), finish(two[1], state));
      }
      if (p.lse && lane_column() == 0 && rows.first() + r < tile.rows) {
        p.lse[out_row(p, tile, rows.first() + r)] = log_sum(state);
      }
    }
  }
  sync_warp();
  HEDDLE_NO_UNROLL
  for (int i = lane_index(); i < Tile::kWarpRows * kChunks; i += kWarp) {
    const int r = i / kChunks, chunk = i % kChunks;
    const int64_t left = p.pages.value_width - chunk * kChunk;
    if (rows.first() + r >= tile.rows || left <= 0) continue;
    T* const to = p.out + out_row(p, tile, rows.first() + r) * p.pages.value_width + chunk * kChunk;
    store_bits(to, read_words(own + swizzled<kChunks>(r, chunk)), left, plan.aligned);
  }
}

template <typename T>
Plan plan_of(const Problem<T>& p) {
  Plan plan{};
  // Above 0, or a hidden score of -∞ would come to NaN; then scores of a scale of 0 are too small to matter.
  plan.factor = std::max(std::fabs(p.scale) * RowState<T>::kUnit, FLT_MIN);
  plan.negative = p.scale < 0;
  plan.aligned = p.pages.value_width % kChunk == 0 && is_aligned(p.out);
  return plan;
}

template <typename T>
using RowKernel = void (*)(const Problem<T>, const Plan, unsigned long long*);

/// Launches a kernel over tiles of rows, `beside` of whose blocks a multiprocessor holds at once.
template <typename Tile, typename T>
Status launch_rows(RowKernel<T> kernel, Grid grid, int64_t beside, Problem<T> p, Plan plan, CudaContext& context) {
  const int64_t rows = p.pages.tokens * p.group;
  const int64_t tiles =
      std::max<int64_t>(1, (rows / Tile::kRows + std::min(p.pages.batch, p.pages.tokens)) * p.pages.kv_heads);
  // What few rows over many keys leave idle is worth more than what the merge costs.
  constexpr int64_t kMostSplitRows = 16;  // a multiprocessor: bounds the memory
  if (p.num_spans > 1 && rows > 0 && tiles < beside * context.multiprocessors &&
      p.pages.tokens * p.heads <= kMostSplitRows * context.multiprocessors) {
    Status status = allocate_spans(p, context);
    if (status != kSuccess) return status;
    grid.blocks_x = tiles;
    grid.blocks_y = p.num_spans;
    status = launch(kernel, grid, context, p, plan, context.failure);
    if (status != kSuccess) return status;
    return launch(merge_spans<T>, {p.pages.tokens * p.heads, kMergeThreads}, context, p);
  }
  grid.blocks_x = std::min(tiles, beside * context.multiprocessors);
  if (p.num_spans > 1 && Tile::kParks) {
    const size_t fours = static_cast<size_t>(grid.blocks_x) * Tile::kParked * Tile::kThreads;
    plan.parked = static_cast<float*>(context.allocate(context.owner, fours * sizeof(float4)));
    if (!plan.parked) return kOutOfMemory;
  }
  return launch(kernel, grid, context, p, plan, context.failure);
}

}  // namespace heddle::cuda
