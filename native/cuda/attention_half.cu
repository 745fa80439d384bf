#include <algorithm>
#include <cfloat>

#include "cuda/attention_half.h"
#include "cuda/attention_mma.h"

namespace heddle::cuda {
namespace {

/// What a launch adds to the problem.
struct Plan {
  float factor;   // |scale| / ln 2: turns scores into powers of 2
  bool negative;  // the scale: scores change their sign first
  bool pairs;     // two neighbours of out may be stored at once
  float* parked;  // [blocks, kParked, kThreads, 4]: what a block has of the spans before
};

/// What `rows` hold of a span joins the total, which is in `rows` then if the span was the last. Until then totals lie
/// in memory, values and states alike; each thread reads what it wrote itself. `parked`: the thread's first four.
template <typename Tile, typename T>
HEDDLE_DEVICE void merge_span(HalfRows<Tile, T>& rows, float* parked, bool first, bool last) {
  const auto four_at = [&](int index) { return reinterpret_cast<float4*>(parked + index * Tile::kThreads * 4); };
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    constexpr int kFours = Tile::kWidth / 8 + 1;  // a state, then the values
    RowState<T> total[2];
    if (!first) {
      const float4 before = *four_at(i * kFours);
      total[0] = {before.x, before.y};
      total[1] = {before.z, before.w};
    }
    const Shares shares[2] = {merge(total[0], rows.state[i][0]), merge(total[1], rows.state[i][1])};
    HEDDLE_UNROLL
    for (int j = 0; j < Tile::kWidth / 8; ++j) {
      float4* const at = four_at(i * kFours + 1 + j);
      float(&v)[4] = rows.values[i][j];
      const float4 before = first ? float4{0.0f, 0.0f, 0.0f, 0.0f} : *at;
      v[0] = merge_value(before.x, v[0], shares[0]);
      v[1] = merge_value(before.y, v[1], shares[0]);
      v[2] = merge_value(before.z, v[2], shares[1]);
      v[3] = merge_value(before.w, v[3], shares[1]);
      if (!last) *at = {v[0], v[1], v[2], v[3]};
    }
    if (last) {
      rows.state[i][0] = total[0];
      rows.state[i][1] = total[1];
    } else {
      *four_at(i * kFours) = {total[0].max, total[0].sum, total[1].max, total[1].sum};
    }
  }
}

/// Writes the results of a tile, or those of one span of it.
template <typename Tile, typename T>
HEDDLE_DEVICE void write_rows(const Problem<T>& p, const Plan& plan, const RowTile& tile,
                              const HalfRows<Tile, T>& rows) {
  const int width = static_cast<int>(p.pages.value_width);
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    HEDDLE_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int r = rows.first + i * 16 + half * 8 + lane_row();
      if (r >= tile.rows) continue;
      const RowState<T>& state = rows.state[i][half];
      const int64_t row = out_row(p, tile, r), part = row * p.num_spans + block_y();
      if (lane_column() == 0) {
        if (p.split) {
          p.states[part] = state;
        } else if (p.lse) {
          p.lse[row] = log_sum(state);
        }
      }
      HEDDLE_UNROLL
      for (int j = 0; j < Tile::kWidth / 8; ++j) {
        const int at = j * 8 + lane_column();
        const float first = rows.values[i][j][half * 2], second = rows.values[i][j][half * 2 + 1];
        if (p.split) {
          float* const to = p.values + part * width + at;
          if (at < width) to[0] = first;
          if (at + 1 < width) to[1] = second;
        } else if (plan.pairs) {
          const uint32_t two = narrow_two<T>(finish(first, state), finish(second, state));
          if (at < width) *reinterpret_cast<uint32_t*>(p.out + row * width + at) = two;
        } else {
          T* const to = p.out + row * width + at;
          if (at < width) to[0] = narrow<T>(finish(first, state));
          if (at + 1 < width) to[1] = narrow<T>(finish(second, state));
        }
      }
    }
  }
}

/// The rows of a tile over the keys that they may attend to, or over one span of them (y): FlashAttention-2 (Dao,
/// 2023, section 3). A block takes one tile after another.
template <typename T, typename Tile>
HEDDLE_KERNEL(Tile::kThreads)
attend_halves(HEDDLE_PARAMETER Problem<T> p, HEDDLE_PARAMETER Plan plan, unsigned long long* failure) {
  HEDDLE_SHARED(RowTile, tile);
  T* const queries = reinterpret_cast<T*>(dynamic_shared());
  T* const slots = queries + Tile::kQueries;
  float* const parked = plan.parked + (block_x() * Tile::kParked * Tile::kThreads + thread_index()) * 4;
  if (block_x() == 0 && block_y() == 0) check_pages(p.pages, INT32_MIN, failure);

  HEDDLE_NO_UNROLL
  for (int64_t index = block_x();; index += num_blocks_x()) {
    if (thread_index() == 0) tile = tile_at(p, index, Tile::kRows);
    sync_block();
    if (tile.rows == 0) return;
    constexpr int kSpan = static_cast<int>(Attention::kSpanBlocks);
    const int first = p.split ? static_cast<int>(block_y()) * kSpan : 0;
    int end = (static_cast<int>(limit_of(p, tile, tile.rows - 1)) + kKeys - 1) / kKeys;
    if (p.split && first + kSpan < end) end = first + kSpan;

    // Slots go round: keys, values, keys of the next block, …
    int slot = 0;
    const auto slot_at = [&](int on) { return slots + (slot + on) % Tile::kSlots * Tile::kSlot; };
    const auto page_at = [&](int block) {
      return block < end ? page_of<T>(p.pages, tile.b, block, tile.kv_head) : nullptr;
    };
    Block block = find_block(p, tile, first, end);
    if (block.index < end) {
      stage_queries<Tile>(p, tile, queries);
      const T* const page = page_at(block.index);
      start_keys<Tile>(p, page, slot_at(0));
      commit_copies();
      start_values<Tile>(p, page, slot_at(1));
      commit_copies();
    }
    HalfRows<Tile, T> rows(p, tile);
    rows.reset();
    bool first_span = true;
    HEDDLE_NO_UNROLL
    while (block.index < end) {
      const bool idle = block.index * kKeys >= rows.most;  // none of the warp's rows sees a key of the block
      wait_copies<1>();
      sync_block();  // the keys are there, and nobody reads the values before them any more
      const Block next = find_block(p, tile, block.index + 1, end);
      const T* const page = page_at(next.index);
      if (next.index < end) start_keys<Tile>(p, page, slot_at(2));
      commit_copies();
      if (!idle) {
        rows.find_kept(p, tile, block);
        rows.multiply_keys(queries, slot_at(0));
        if (plan.negative) rows.negate_scores();
        if (rows.partial) rows.hide_scores();
        rows.absorb_scores(plan.factor);
      }
      wait_copies<1>();
      sync_block();  // the values are there, and nobody reads the keys any more
      if (next.index < end) start_values<Tile>(p, page, slot_at(0));
      commit_copies();
      if (!idle) rows.multiply_values(slot_at(1));
      slot = (slot + 2) % Tile::kSlots;
      const bool last = next.index >= end;
      if (last || (!p.split && next.index / kSpan > block.index / kSpan)) {
        rows.close();
        if (!p.split) merge_span(rows, parked, first_span, last);
        if (!last) rows.reset();
        first_span = false;
      }
      block = next;
    }
    write_rows(p, plan, tile, rows);
    sync_block();  // nobody reads this tile any more
  }
}

template <typename Tile, typename T>
Status run_tile(Problem<T> p, Plan plan, CudaContext& context) {
  constexpr int64_t kSharedOfMultiprocessor = 224 << 10, kMostBeside = 8;
  constexpr int64_t kBeside =
      std::clamp<int64_t>(kSharedOfMultiprocessor / static_cast<int64_t>(Tile::kSharedBytes), 1, kMostBeside);
  const int64_t rows = p.pages.tokens * p.group;
  const int64_t tiles =
      std::max<int64_t>(1, (rows / Tile::kRows + std::min(p.pages.batch, p.pages.tokens)) * p.pages.kv_heads);
  // What few rows over many keys leave idle is worth more than what the merge costs.
  constexpr int64_t kMostSplitRows = 16;  // a multiprocessor: bounds the memory
  if (p.num_spans > 1 && rows > 0 && tiles < kBeside * context.multiprocessors &&
      p.pages.tokens * p.heads <= kMostSplitRows * context.multiprocessors) {
    Status status = allocate_spans(p, context);
    if (status != kSuccess) return status;
    const Grid grid{tiles, Tile::kThreads, p.num_spans, Tile::kSharedBytes};
    status = launch(attend_halves<T, Tile>, grid, context, p, plan, context.failure);
    if (status != kSuccess) return status;
    return launch(merge_spans<T>, {p.pages.tokens * p.heads, kMergeThreads}, context, p);
  }
  const int64_t blocks = std::min(tiles, kBeside * context.multiprocessors);
  if (p.num_spans > 1) {
    const size_t fours = static_cast<size_t>(blocks) * Tile::kParked * Tile::kThreads;
    plan.parked = static_cast<float*>(context.allocate(context.owner, fours * sizeof(float4)));
    if (!plan.parked) return kOutOfMemory;
  }
  return launch(attend_halves<T, Tile>, {blocks, Tile::kThreads, 1, Tile::kSharedBytes}, context, p, plan,
                context.failure);
}

/// One warp for few rows; many, where a block's keys serve more rows.
template <int Width, int Warps, int MTiles, typename T>
Status run_width(const Problem<T>& p, const Plan& plan, CudaContext& context) {
  using Small = HalfTile<Width, 1, 1>;
  if (p.pages.tokens * p.group <= Small::kRows * p.pages.batch) return run_tile<Small>(p, plan, context);
  return run_tile<HalfTile<Width, Warps, MTiles>>(p, plan, context);
}

template <typename T>
Status attend(const Problem<T>& p, CudaContext& context) {
  constexpr float kLog2E = 1.4426950408889634f;
  Plan plan{};
  // Above 0, or a hidden score of -∞ would come to NaN; then scores of a scale of 0 are too small to matter.
  plan.factor = std::max(std::fabs(p.scale) * kLog2E, FLT_MIN);
  plan.negative = p.scale < 0;
  plan.pairs = p.pages.value_width % 2 == 0 && reinterpret_cast<uintptr_t>(p.out) % 4 == 0;
  const int64_t width = std::max(p.pages.key_width, p.pages.value_width);
  if (width <= 64) return run_width<64, 4, 2>(p, plan, context);
  if (width <= 128) return run_width<128, 4, 2>(p, plan, context);
  if (width <= 256) return run_width<256, 8, 1>(p, plan, context);
  return kInvalidValue;
}

}  // namespace

Status attend_half(Problem<Float16> problem, CudaContext& context) { return attend(problem, context); }
Status attend_half(Problem<BFloat16> problem, CudaContext& context) { return attend(problem, context); }

}  // namespace heddle::cuda
