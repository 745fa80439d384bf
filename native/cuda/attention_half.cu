#include <algorithm>
#include <cfloat>

#include "cuda/attention_half.h"
#include "cuda/attention_mma.h"
#include "cuda/lanes.h"

namespace heddle::cuda {
namespace {

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

/// What `rows` hold of a span joins the total, which is in `rows` then if the span was the last. Until then totals lie
/// in memory, values and states alike; each thread reads what it wrote itself.
template <bool Plain, typename Tile, typename T>
HEDDLE_DEVICE void merge_span(const Problem<T>& p, const RowTile& tile, HalfRows<Tile, T>& rows, float* parked,
                              bool first, bool last) {
  const int64_t place = block_x() * Tile::kParked * Tile::kThreads + fresh(thread_index());
  const auto four_at = [&](int index) { return reinterpret_cast<float4*>(parked) + place + index * Tile::kThreads; };
  HEDDLE_UNROLL
  for (int i = 0; i < Tile::kMTiles; ++i) {
    constexpr int kFours = Tile::kWidth / 8 + 1;  // a state, then the values
    RowState<T> total[2];
    if constexpr (!Plain) {
      HEDDLE_UNROLL
      for (int half = 0; half < 2; ++half) total[half] = first_state_of(p, tile, rows, i, half);
    }
    if (!first) {
      const float4 before = *four_at(i * kFours);
      total[0] = {before.x, before.y};
      total[1] = {before.z, before.w};
    }
    const Shares shares[2] = {merge(total[0], rows.state[i][0]), merge(total[1], rows.state[i][1])};
    HEDDLE_UNROLL
    for (int j = 0; j < Tile::kWidth / 8; ++j) {
      if (j % 8 == 0) sync_warp();  // no more than eight are read at a time: there are no registers for all
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

/// The rows of a tile over the keys that they may attend to, or over one span of them (y): FlashAttention-2 (Dao,
/// 2023, section 3). A block takes one tile after another. Plain: see is_plain.
template <typename T, typename Tile, bool Plain>
HEDDLE_KERNEL(Tile::kThreads)
attend_halves(HEDDLE_PARAMETER Problem<T> p, HEDDLE_PARAMETER Plan plan, unsigned long long* failure) {
  constexpr int kSpan = static_cast<int>(Attention::kSpanBlocks);
  HEDDLE_SHARED(Work<Tile>, work);
  const RowTile& tile = work.tile;
  T* const queries = reinterpret_cast<T*>(dynamic_shared());
  T* const slots = queries + Tile::kQueries;
  if (block_x() == 0 && block_y() == 0) check_pages(p.pages, INT32_MIN, failure);

  if (thread_index() == 0) work.index = static_cast<int>(block_x());
  for (;;) {
    const int first = p.split ? static_cast<int>(block_y()) * kSpan : 0;
    if (fresh(thread_index()) == 0) {
      work.tile = tile_at(p, work.index, Tile::kRows);
      work.index += static_cast<int>(num_blocks_x());
      const int64_t keys = work.tile.rows > 0 ? limit_of(p, work.tile, work.tile.rows - 1) : 0;
      work.end = static_cast<int>((keys + kKeys - 1) / kKeys);
      if (p.split && first + kSpan < work.end) work.end = first + kSpan;
    }
    sync_block();
    if (tile.rows == 0) return;
    if (lane_index() == 0) find_limits(p, work);

    // Slots go round: keys, values, keys of the next block, …
    int slot = 0;
    const auto slot_at = [&](int on) { return (slot + on) % Tile::kSlots; };
    const auto memory_at = [&](int on) { return slots + slot_at(on) * Tile::kSlot; };
    const auto page_at = [&](int block) { return page_of<T>(p.pages, tile.b, block, tile.kv_head); };
    {
      const Block block = find_block(p, tile, first, work.end);
      if (fresh(thread_index()) == 0) {
        work.blocks[0] = block;
        work.first_span = block.index() / kSpan;
      }
      if (block.index() < work.end) {
        stage_queries<Tile>(p, tile, queries);
        const T* const page = page_at(block.index());
        start_keys<Tile>(p, page, memory_at(0));
        commit_copies();
        start_values<Tile>(p, page, memory_at(1));
        commit_copies();
      }
    }
    sync_block();
    HalfRows<Tile, T> rows;
    rows.reset();
    if constexpr (!Plain) {
      if (!p.split) start_states(p, tile, rows);  // of rows that see nothing
    }
    while (work.blocks[slot].index() < work.end) {  // a span
      rows.reset();
      bool more;
      HEDDLE_NO_UNROLL
      do {
        wait_copies<1>();
        sync_block();  // the keys are there, and nobody reads the values before them any more
        const Block& block = work.blocks[slot];
        // Whether some of the warp's rows sees a key of the block. Asked twice: even one register more is too many.
        const auto concerns_warp = [&] { return block.index() * kKeys < work.most[fresh(warp_index())]; };
        {
          const Block next = find_block(p, tile, block.index() + 1, work.end);
          if (next.index() < work.end) start_keys<Tile>(p, page_at(next.index()), memory_at(2));
          commit_copies();
          if (fresh(thread_index()) == 0) {
            work.blocks[slot_at(2)] = next;
            work.in_first_span = block.index() / kSpan == work.first_span;
          }
        }
        if (concerns_warp()) {
          rows.template find_kept<Plain>(p, work, block);
          rows.multiply_keys(queries, memory_at(0));
          if constexpr (Plain) {
            if (plan.negative) rows.negate_scores();
          } else {
            rows.finish_scores(p, work, block);
          }
          if (rows.partial) rows.hide_scores();
          rows.absorb_scores(Plain ? plan.factor : RowState<T>::kUnit);
        }
        wait_copies<1>();
        sync_block();  // the values are there, and nobody reads the keys any more
        const int next = work.blocks[slot_at(2)].index();
        if (next < work.end) start_values<Tile>(p, page_at(next), memory_at(0));
        commit_copies();
        if (concerns_warp()) rows.multiply_values(memory_at(1));
        more = next < work.end && next / kSpan == block.index() / kSpan;
        slot = slot_at(2);
      } while (more);
      rows.close();
      if (!p.split)
        merge_span<Plain>(p, tile, rows, plan.parked, work.in_first_span, work.blocks[slot].index() >= work.end);
    }
    if (!p.split) {
      write_rows(p, plan, tile, rows, queries);
    } else if (first < work.end) {
      write_span(p, tile, rows);
    }
    sync_block();  // nobody reads this tile any more
  }
}

template <typename Tile, bool Plain, typename T>
Status run_tile(Problem<T> p, Plan plan, CudaContext& context) {
  // Blocks that a multiprocessor holds at once, for want of shared memory and of registers.
  constexpr int64_t kShared = 224 << 10, kRegisters = 65536, kMostRegisters = 256;
  constexpr int64_t kBeside =
      std::max<int64_t>(1, std::min(kShared / static_cast<int64_t>(Tile::kSharedBytes),
                                    kRegisters / (kMostRegisters * static_cast<int64_t>(Tile::kThreads))));
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
    status = launch(attend_halves<T, Tile, Plain>, grid, context, p, plan, context.failure);
    if (status != kSuccess) return status;
    return launch(merge_spans<T>, {p.pages.tokens * p.heads, kMergeThreads}, context, p);
  }
  const int64_t blocks = std::min(tiles, kBeside * context.multiprocessors);
  if (p.num_spans > 1) {
    const size_t fours = static_cast<size_t>(blocks) * Tile::kParked * Tile::kThreads;
    plan.parked = static_cast<float*>(context.allocate(context.owner, fours * sizeof(float4)));
    if (!plan.parked) return kOutOfMemory;
  }
  return launch(attend_halves<T, Tile, Plain>, {blocks, Tile::kThreads, 1, Tile::kSharedBytes}, context, p, plan,
                context.failure);
}

/// One warp for few rows; many, where a block's keys serve more rows.
template <int Width, int Warps, int MTiles, typename T>
Status run_width(const Problem<T>& p, const Plan& plan, CudaContext& context) {
  using Small = HalfTile<Width, 1, 1>;
  using Large = HalfTile<Width, Warps, MTiles>;
  using Narrow = HalfTile<Width, Warps * MTiles, 1>;  // as many rows, fewer registers
  const bool small = p.pages.tokens * p.group <= Small::kRows * p.pages.batch;
  if (is_plain(p)) return small ? run_tile<Small, true>(p, plan, context) : run_tile<Large, true>(p, plan, context);
  return small ? run_tile<Small, false>(p, plan, context) : run_tile<Narrow, false>(p, plan, context);
}

template <typename T>
Status attend(const Problem<T>& p, CudaContext& context) {
  Plan plan{};
  // Above 0, or a hidden score of -∞ would come to NaN; then scores of a scale of 0 are too small to matter.
  plan.factor = std::max(std::fabs(p.scale) * RowState<T>::kUnit, FLT_MIN);
  plan.negative = p.scale < 0;
  plan.aligned = p.pages.value_width % kChunk == 0 && is_aligned(p.out);
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
