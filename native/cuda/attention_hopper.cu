#include "cuda/attention_half.h"
#include "cuda/attention_hopper.h"

namespace heddle::cuda {
namespace {

#if defined(HEDDLE_HOPPER)

/// The end of those key blocks that some row of a warpgroup sees.
template <typename Tile>
HEDDLE_DEVICE int blocks_of_group(const Work<Tile>& work, int group) {
  constexpr int kWarps = kWarpgroup / kWarp;
  int keys = 0;
  for (int warp = group * kWarps; warp < (group + 1) * kWarps; ++warp) {
    keys = keys > work.most[warp] ? keys : work.most[warp];
  }
  const int end = (keys + kKeys - 1) / kKeys;
  return end < work.end ? end : work.end;
}

/// Results of one tile after another, by the warpgroups that multiply: FlashAttention-3 (Shah et al., 2024, section 3).
/// While one group finds its probabilities the other multiplies, and while a group finds those of a block its values of
/// the block before are multiplied.
template <bool Plain, typename Tile, typename T>
HEDDLE_DEVICE void attend_tiles(const Problem<T>& p, const Plan& plan, Exchange<Tile>& exchange, T* all_queries,
                                T* keys, T* values) {
  constexpr int kSpan = static_cast<int>(Attention::kSpanBlocks);
  const int group = warp_index() / (kWarpgroup / kWarp);
  T* const queries = all_queries + group * Tile::kGroupRows * Tile::kWidth;
  const auto sync_group = [&] { sync_named(kGroupBarrier + group, kWarpgroup); };
  const auto take_turn = [&] {
    if constexpr (Tile::kGroups == 2) sync_named(kTurnBarrier + group, Tile::kThreads);
  };
  const auto pass_turn = [&] {
    if constexpr (Tile::kGroups == 2) arrive_named(kTurnBarrier + 1 - group, Tile::kThreads);
  };
  if (group == 1) pass_turn();

  Turn<Tile::kSlots> turn;
  Turn<2> tile_turn;
  int asked = 0;
  HEDDLE_NO_UNROLL
  for (;;) {
    wait(exchange.tile_full[tile_turn.slot], tile_turn.parity);
    const Work<Tile>& work = exchange.work[tile_turn.slot];
    const RowTile& tile = work.tile;
    if (tile.rows == 0) break;
    stage_queries<Tile>(p, tile, all_queries);
    commit_copies();
    wait_copies<0>();
    fence_async();
    sync_group();
    HopperRows<Tile, T> rows;
    std::conditional_t<Tile::kParks, ParkedTotals<Tile>, HeldTotals<Tile>> totals(plan);
    rows.reset();
    if constexpr (!Plain) {
      if (!p.split) start_states(p, tile, rows);  // of rows that see nothing
    }
    // Waits for the keys of the slot. What is kept of them is found before anything multiplies: then there are
    // registers.
    const auto next_step = [&](HopperRows<Tile, T>& rows) {
      wait(exchange.keys_full[turn.slot], turn.parity);
      const Step step = exchange.steps[turn.slot];
      rows.template find_kept<Plain>(p, work, step.block);
      return step;
    };
    const auto find_powers = [&](const Block& block, HopperRows<Tile, T>& rows, float(&shrinks)[1][2]) {
      if constexpr (Plain) {
        if (plan.negative) rows.negate_scores();
      } else {
        rows.finish_scores(p, work, block);
      }
      if (rows.partial) rows.hide_scores();
      return rows.exponentiate(Plain ? plan.factor : RowState<T>::kUnit, shrinks);
    };
    const auto clear_values = [&](const Block& block, const HopperRows<Tile, T>& rows) {
      wait(exchange.values_full[turn.slot], turn.parity);
      clear_hidden<Plain>(p, exchange, rows, block, exchange.keys[tile_turn.slot], values + turn.slot * Tile::kSlot,
                          asked);
    };
    const int first_span = work.blocks[0].index() / kSpan;
    // Blocks that rows of this group see are the first ones: limits rise with the rows.
    const int own_end = blocks_of_group(work, group);
    int next = work.blocks[0].index();
    HEDDLE_NO_UNROLL
    while (next < own_end) {  // a span
      rows.reset();
      float shrinks[1][2];
      Step step = next_step(rows);
      take_turn();
      fence_products();
      rows.start_scores(queries, keys + turn.slot * Tile::kSlot);
      pass_turn();
      wait_products<0>(rows.scores[0]);
      arrive_together(exchange.keys_free[turn.slot]);
      find_powers(step.block, rows, shrinks);
      rows.round_scores();
      clear_values(step.block, rows);
      const int span = step.block.index() / kSpan;
      const auto goes_on = [&] { return step.next < own_end && step.next / kSpan == span; };
      HEDDLE_NO_UNROLL
      while (goes_on()) {
        const Turn<Tile::kSlots> before = turn;
        turn.go_on();
        step = next_step(rows);
        take_turn();
        fence_products();
        rows.start_scores(queries, keys + turn.slot * Tile::kSlot);
        rows.start_values(values + before.slot * Tile::kSlot);
        pass_turn();
        wait_products<Plain ? 1 : 0>(rows.scores[0]);
        arrive_together(exchange.keys_free[turn.slot]);
        const bool rises = find_powers(step.block, rows, shrinks);
        wait_products<0>(rows.values[0]);
        arrive_together(exchange.values_free[before.slot]);
        rows.shrink_values(rises, shrinks);
        rows.round_scores();
        clear_values(step.block, rows);
      }
      fence_products();
      rows.start_values(values + turn.slot * Tile::kSlot);
      wait_products<0>(rows.values[0]);
      arrive_together(exchange.values_free[turn.slot]);
      turn.go_on();
      rows.close();
      next = step.next;
      if (!p.split) merge_span<Plain>(p, tile, rows, totals, span == first_span, next >= own_end);
    }
    HEDDLE_NO_UNROLL
    while (next < work.end) {  // not this group's
      wait(exchange.keys_full[turn.slot], turn.parity);
      const Step step = exchange.steps[turn.slot];
      take_turn();
      pass_turn();
      arrive_together(exchange.keys_free[turn.slot]);
      rows.partial = true;
      rows.kept[0] = 0;
      clear_values(step.block, rows);
      arrive_together(exchange.values_free[turn.slot]);
      turn.go_on();
      next = step.next;
    }
    sync_group();  // nobody multiplies its queries any more
    if (!p.split) {
      write_rows(p, plan, tile, rows, all_queries);
    } else if (static_cast<int>(block_y()) * kSpan < work.end) {
      write_span(p, tile, rows);
    }
    sync_group();
    arrive_together(exchange.tile_free[tile_turn.slot]);
    tile_turn.go_on();
  }
  if (group == 0) take_turn();
}

template <typename Tile>
HEDDLE_DEVICE void start_barriers(Exchange<Tile>& exchange) {
  for (int slot = 0; slot < Tile::kSlots; ++slot) {
    start_barrier(exchange.keys_full[slot], 1);
    start_barrier(exchange.values_full[slot], 1);
    start_barrier(exchange.keys_free[slot], Tile::kWarps);
    start_barrier(exchange.values_free[slot], Tile::kWarps);
  }
  for (int slot = 0; slot < 2; ++slot) {
    start_barrier(exchange.tile_full[slot], 1);
    start_barrier(exchange.tile_free[slot], Tile::kWarps);
  }
  fence_barriers();
}

#endif

/// attend_halves for Hopper: the same problem, results rounded otherwise. A warp copies, the others multiply.
template <typename T, typename Tile, bool Plain>
HEDDLE_KERNEL_BESIDE(Tile::kBlockThreads, Tile::kBeside)
attend_hopper(HEDDLE_PARAMETER Problem<T> p, HEDDLE_PARAMETER Plan plan, unsigned long long* failure) {
#if defined(HEDDLE_HOPPER)
  HEDDLE_SHARED(Exchange<Tile>, exchange);
  T* const queries = reinterpret_cast<T*>(swizzled_shared());
  T* const keys = queries + Tile::kQueries;
  T* const values = keys + Tile::kSlots * Tile::kSlot;
  if (block_x() == 0 && block_y() == 0) check_pages(p.pages, INT32_MIN, failure);
  if (thread_index() == 0) start_barriers(exchange);
  // Coordinates beyond the keys' width: no copy ever writes there.
  const auto key_halves = static_cast<int>(p.pages.key_width) * kKeys;
  for (int slot = 0; slot < Tile::kSlots; ++slot) {
    for (int at = key_halves + thread_index() * kChunk; at < Tile::kSlot; at += Tile::kBlockThreads * kChunk) {
      write_words(keys + slot * Tile::kSlot + at, Words{});
    }
  }
  fence_async();
  sync_block();
  if (thread_index() < Tile::kThreads) {
    if constexpr (Tile::kGroups == 2) take_registers<Tile::kRegisters>();
    attend_tiles<Plain>(p, plan, exchange, queries, keys, values);
  } else {
    if constexpr (Tile::kGroups == 2) leave_registers<Tile::kCopyRegisters>();
    if (thread_index() < Tile::kThreads + kWarp) copy_blocks(p, exchange, keys, values);
  }
#endif
}

template <typename Tile, bool Plain, typename T>
Status run_tile(const Problem<T>& p, const Plan& plan, CudaContext& context) {
  const Grid grid{0, Tile::kBlockThreads, 1, Tile::kSharedBytes};
  return launch_rows<Tile>(attend_hopper<T, Tile, Plain>, grid, Tile::kBeside, p, plan, context);
}

template <int Width, typename T>
Status run_width(const Problem<T>& p, CudaContext& context) {
  const Plan plan = plan_of(p);
  const bool small = p.pages.tokens * p.group <= HopperTile<Width, 1, false>::kRows * p.pages.batch;
  const auto run = [&](auto masked, auto plain) {
    constexpr bool kMasked = decltype(masked)::value, kPlain = decltype(plain)::value;
    return small ? run_tile<HopperTile<Width, 1, kMasked>, kPlain>(p, plan, context)
                 : run_tile<HopperTile<Width, 2, kMasked>, kPlain>(p, plan, context);
  };
  using std::false_type, std::true_type;
  if (!is_plain(p)) return run(true_type{}, false_type{});
  return p.mask.code ? run(true_type{}, true_type{}) : run(false_type{}, true_type{});
}

template <typename T>
Status attend(const Problem<T>& p, CudaContext& context) {
  const int64_t width = std::max(p.pages.key_width, p.pages.value_width);
  if (width <= 64) return run_width<64>(p, context);
  if (width <= 128) return run_width<128>(p, context);
  if (width <= 256) return run_width<256>(p, context);
  return kInvalidValue;
}

}  // namespace

Status attend_hopper(const Problem<Float16>& problem, CudaContext& context) { return attend(problem, context); }
Status attend_hopper(const Problem<BFloat16>& problem, CudaContext& context) { return attend(problem, context); }

}  // namespace heddle::cuda
