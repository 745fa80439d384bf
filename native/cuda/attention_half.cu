#include <algorithm>

#include "cuda/attention_half.h"
#include "cuda/attention_rows.h"

namespace heddle::cuda {
namespace {

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
  auto* const scales = reinterpret_cast<PageScales*>(slots + Tile::kSlots * Tile::kSlot);
  const auto is_scaled = [&] { return p.pages.dtype == DType::kInt8; };
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
    if (lane_index() == 0) find_limits(p, work, fresh(warp_index()));

    // Slots go round: keys, values, keys of the next block, …
    int slot = 0;
    const auto slot_at = [&](int on) { return (slot + on) % Tile::kSlots; };
    const auto memory_at = [&](int on) { return slots + slot_at(on) * Tile::kSlot; };
    const auto scales_at = [&](int on) { return &scales[slot_at(on)][0]; };
    const auto start_keys_of = [&](int block, int on) {
      char* const page = page_of<char>(p.pages, tile.b, block, tile.kv_head);
      if (!is_scaled()) return start_keys<Tile>(p, reinterpret_cast<const T*>(page), memory_at(on));
      start_keys<Tile>(p, reinterpret_cast<const int8_t*>(page), memory_at(on));
      start_scales(p.pages, page, scales_at(on));
    };
    const auto start_values_of = [&](int block, int on) {
      const char* const page = page_of<char>(p.pages, tile.b, block, tile.kv_head);
      if (!is_scaled()) return start_values<Tile>(p, reinterpret_cast<const T*>(page), memory_at(on));
      start_values<Tile>(p, reinterpret_cast<const int8_t*>(page), memory_at(on));
    };
    const auto wait_for = [&](int on, const float* value_scales) {
      wait_copies<1>();
      if (is_scaled()) widen_slot<Tile>(value_scales, memory_at(on));
      sync_block();
    };
    {
      const Block block = find_block<Tile>(p, tile, first, work.end);
      if (fresh(thread_index()) == 0) {
        work.blocks[0] = block;
        work.first_span = block.index() / kSpan;
      }
      if (block.index() < work.end) {
        stage_queries<Tile>(p, tile, queries);
        start_keys_of(block.index(), 0);
        commit_copies();
        start_values_of(block.index(), 1);
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
        wait_for(0, nullptr);  // the keys are there, and nobody reads the values before them any more
        const Block& block = work.blocks[slot];
        // Whether some of the warp's rows sees a key of the block. Asked twice: even one register more is too many.
        const auto concerns_warp = [&] { return block.index() * kKeys < work.most[fresh(warp_index())]; };
        {
          const Block next = find_block<Tile>(p, tile, block.index() + 1, work.end);
          if (next.index() < work.end) start_keys_of(next.index(), 2);
          commit_copies();
          if (fresh(thread_index()) == 0) {
            work.blocks[slot_at(2)] = next;
            work.in_first_span = block.index() / kSpan == work.first_span;
          }
        }
        if (concerns_warp()) {
          rows.template find_kept<Plain>(p, work, block);
          rows.multiply_keys(queries, memory_at(0));
          if (is_scaled()) rows.scale_scores(scales_at(0));
          if constexpr (Plain) {
            if (plan.negative) rows.negate_scores();
          } else {
            rows.finish_scores(p, work, block);
          }
          if (rows.partial) rows.hide_scores();
          rows.absorb_scores(Plain ? plan.factor : RowState<T>::kUnit);
        }
        wait_for(1, scales_at(0) + kKeys);  // the values are there, and nobody reads the keys any more
        const int next = work.blocks[slot_at(2)].index();
        if (next < work.end) start_values_of(next, 0);
        commit_copies();
        if (concerns_warp()) rows.multiply_values(memory_at(1));
        more = next < work.end && next / kSpan == block.index() / kSpan;
        slot = slot_at(2);
      } while (more);
      rows.close();
      if (!p.split)
        merge_span<Plain>(p, tile, rows, ParkedTotals<Tile>(plan), work.in_first_span,
                          work.blocks[slot].index() >= work.end);
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
Status run_tile(const Problem<T>& p, const Plan& plan, CudaContext& context) {
  // Blocks that a multiprocessor holds at once, for want of shared memory and of registers.
  constexpr int64_t kShared = 224 << 10, kRegisters = 65536, kMostRegisters = 256;
  constexpr int64_t kBeside =
      std::max<int64_t>(1, std::min(kShared / static_cast<int64_t>(Tile::kSharedBytes),
                                    kRegisters / (kMostRegisters * static_cast<int64_t>(Tile::kThreads))));
  const size_t shared = Tile::kSharedBytes + (p.pages.dtype == DType::kInt8 ? Tile::kScaleBytes : 0);
  return launch_rows<Tile>(attend_halves<T, Tile, Plain>, {0, Tile::kThreads, 1, shared}, kBeside, p, plan, context);
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
  const Plan plan = plan_of(p);
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
