#pragma once

#include "cuda/attention_rows.h"
#include "cuda/hopper.h"

namespace heddle::cuda {

/// What a block of the Hopper kernel works on: 64 rows a warpgroup, heads up to `Width` wide. One more warp copies, or
/// where there are two groups one more warpgroup, since registers are dealt out by warpgroups.
template <int Width, int Groups, bool Masked>
struct HopperTile {
  static constexpr int kWidth = Width;
  static constexpr int kMTiles = 1;
  /// Kernels for masks are others: to ask one takes more registers than the copying warp should have.
  static constexpr bool kMasked = Masked;
  static constexpr int kGroups = Groups;
  static constexpr int kThreads = Groups * kWarpgroup;  // that multiply
  static constexpr int kBlockThreads = kThreads + (Groups == 1 ? kWarp : kWarpgroup);
  static constexpr int kWarps = kThreads / kWarp;
  static constexpr int kWarpRows = 16;
  static constexpr int kGroupRows = 64;
  static constexpr int kRows = Groups * kGroupRows;
  /// Shared memory, in halves: of each group the queries [Width / kLine][kGroupRows][kLine], then as many slots for
  /// keys [Width][kKeys] as for values [Width / kLine][kKeys][kLine]. All in lines as products read them.
  static constexpr int kQueries = kRows * Width;
  static constexpr int kSlot = Width * kKeys;
  static constexpr int kSlots = Width == 256 || (Width == 128 && Groups == 1) ? 2 : 4;
  static constexpr size_t kSharedBytes = 2 * (kQueries + 2 * kSlots * kSlot) + kSwizzleBytes;
  /// Blocks that a multiprocessor holds: 64 KiB of keys and values under way in each are enough for all of the memory's
  /// speed, and while one block computes the other's copies go on.
  static constexpr int kBeside = Groups == 1 && Width <= 128 ? 2 : 1;
  /// See merge_span: without, where there are registers for totals.
  static constexpr bool kParks = Width > (Groups == 1 ? 64 : 128);
  static constexpr int kParked = Width / 8 + 1;
  /// Registers are dealt out anew when a block has started, which ptxas cannot do around calls.
  static constexpr bool kCalls = false;
  /// With two groups: of a thread that multiplies, and of the warpgroup that copies. 168 each is what a block starts
  /// with.
  static constexpr int kRegisters = Masked ? 216 : 232;
  static constexpr int kCopyRegisters = Masked ? 72 : 40;

  HEDDLE_DEVICE static int query_place(int row, int chunk) {
    return row / kGroupRows * kGroupRows * Width + chunk / 8 * kGroupRows * kLine +
           swizzled<8>(row % kGroupRows, chunk % 8);
  }
};

/// The rows of one warp, whose products are wgmma's: a warp has the same elements of them as of mma's.
template <typename Tile, typename T>
struct HopperRows : HalfRows<Tile, T> {
  static constexpr int kLineBytes = kLine * sizeof(T);
  static constexpr int kPanelBytes = kKeys * kLineBytes;

  /// Starts scores = q · k, one chain along the coordinates. `queries` are those of the warpgroup.
  HEDDLE_DEVICE void start_scores(const T* queries, const T* keys) {
    const uint64_t q = describe_lines(queries, 0, 8 * kLineBytes), k = describe_lines(keys, 0, 8 * kLineBytes);
    HEDDLE_UNROLL
    for (int step = 0; step < Tile::kWidth / 16; ++step) {
      const int at = step / 4 * Tile::kGroupRows * kLineBytes + step % 4 * 16 * static_cast<int>(sizeof(T));
      multiply_shared<T, Major::kSteps, Major::kRows>(this->scores[0], advance(q, at),
                                                      advance(k, step * 16 * kLineBytes), step > 0);
    }
    commit_products();
  }

  /// Starts values += probabilities · v.
  HEDDLE_DEVICE void start_values(const T* values) {
    const uint64_t v = describe_lines(values, kPanelBytes, 8 * kLineBytes);
    HEDDLE_UNROLL
    for (int step = 0; step < kKeys / 16; ++step) {
      multiply_registers<T, Major::kRows>(this->values[0], this->probabilities[0][step],
                                          advance(v, step * 16 * kLineBytes), true);
    }
    commit_products();
  }
};

/// What a thread has of the spans before, in registers.
template <typename Tile>
struct HeldTotals {
  float4 own[Tile::kParked];
  HEDDLE_DEVICE explicit HeldTotals(const Plan&) {}
  HEDDLE_DEVICE float4& operator[](int index) { return own[index]; }
};

/// A key block in a slot.
struct Step {
  Block block;
  int next;  // block of the tile, its end if there is none
};

/// What the threads of a block tell each other. Slots go round; so do two tiles, so that the next one can be found
/// while this one is worked on.
template <typename Tile>
struct Exchange {
  Barrier keys_full[Tile::kSlots], keys_free[Tile::kSlots];
  Barrier values_full[Tile::kSlots], values_free[Tile::kSlots];
  Barrier tile_full[2], tile_free[2];
  Step steps[Tile::kSlots];
  Work<Tile> work[2];
  int keys[2];  // that some row of the tile can see
  /// Keys that rows of a warp may attend to (see kept_keys), of lanes 0 … 3; of one block and of the next that is
  /// asked.
  uint32_t seen[2][Tile::kWarps][4];
};

// Named barriers.
constexpr int kGroupBarrier = 1;  // and 2: of a warpgroup
constexpr int kTurnBarrier = 3;   // and 4: a warpgroup's turn to multiply
constexpr int kAllBarrier = 5;    // of all that multiply

/// Copies the pages of the key blocks of one tile after another. One warp; lane 0 does what one lane can do.
template <typename Tile, typename T>
HEDDLE_DEVICE void copy_blocks(const Problem<T>& p, Exchange<Tile>& exchange, T* keys, T* values) {
  constexpr int kSpan = static_cast<int>(Attention::kSpanBlocks), kPanel = kKeys * kLine;
  const bool leads = lane_index() == 0;
  const int first = p.split ? static_cast<int>(block_y()) * kSpan : 0;
  const auto key_bytes = static_cast<int>(p.pages.key_width) * kPanel / kLine * static_cast<int>(sizeof(T));
  const auto width = static_cast<int>(p.pages.padded_value_width);
  const int whole = width / kLine * kPanel, left = width % kLine;  // of the last panel
  Turn<Tile::kSlots> turn;
  Turn<2> tile_turn;
  HEDDLE_NO_UNROLL
  for (int64_t index = block_x();; index += num_blocks_x()) {
    Work<Tile>& work = exchange.work[tile_turn.slot];
    wait(exchange.tile_free[tile_turn.slot], tile_turn.parity ^ 1);
    if (leads) {
      work.tile = tile_at(p, index, Tile::kRows);
      const int64_t seen = work.tile.rows > 0 ? limit_of(p, work.tile, work.tile.rows - 1) : 0;
      exchange.keys[tile_turn.slot] = static_cast<int>(seen);
      work.end = static_cast<int>((seen + kKeys - 1) / kKeys);
      if (p.split && first + kSpan < work.end) work.end = first + kSpan;
    }
    sync_warp();
    const RowTile& tile = work.tile;
    const int end = work.end;
    if (lane_index() < Tile::kWarps) find_limits(p, work, lane_index());
    sync_warp();
    // The search stands here once, and finds the block after the one that is copied.
    Block block(-1, false);
    HEDDLE_NO_UNROLL
    for (int at = tile.rows > 0 ? first : end;;) {
      const Block next = at < end ? find_block<Tile>(p, tile, at, end) : Block(end, false);
      at = next.index() + 1;
      if (block.index() < 0) {
        if (leads) {
          work.blocks[0] = next;
          arrive(exchange.tile_full[tile_turn.slot]);
        }
        if (next.index() >= end) break;
        block = next;
        continue;
      }
      // Where the table names no page the op has failed, and nothing will do.
      const T* const page = page_of<T>(p.pages, tile.b, block.index(), tile.kv_head);
      Barrier& keys_full = exchange.keys_full[turn.slot];
      Barrier& values_full = exchange.values_full[turn.slot];
      wait(exchange.keys_free[turn.slot], turn.parity ^ 1);
      if (leads) {
        exchange.steps[turn.slot] = {block, next.index()};
        arrive_expecting(keys_full, page ? key_bytes : 0);
        if (page) copy_bulk(keys + turn.slot * Tile::kSlot, page, key_bytes, keys_full);
      }
      wait(exchange.values_free[turn.slot], turn.parity ^ 1);
      T* const slot = values + turn.slot * Tile::kSlot;
      if (leads) {
        arrive_expecting(values_full, page ? (whole + left * kKeys) * static_cast<int>(sizeof(T)) : 0);
        if (page && whole > 0) {
          copy_bulk(slot, page + p.pages.value_offset, whole * static_cast<int>(sizeof(T)), values_full);
        }
      }
      sync_warp();
      // Lines of a narrow panel, line by line: its 32 columns and then its 16, as far as it has them.
      HEDDLE_NO_UNROLL
      for (int key = lane_index(); page && left > 0 && key < kKeys; key += kWarp) {
        const T* const line = page + p.pages.value_offset + whole + key * left;
        HEDDLE_NO_UNROLL
        for (int from = 0; from < left;) {
          const int columns = left - from >= 32 ? 32 : 16, chunk = from / kChunk;
          const int at = chunk ^ (key & 7 & ~swizzle_mask(left, chunk));
          copy_bulk(slot + whole + key * kLine + at * kChunk, line + from, columns * static_cast<int>(sizeof(T)),
                    values_full);
          from += columns;
        }
      }
      turn.go_on();
      if (next.index() >= end) break;
      block = next;
    }
    if (tile.rows == 0) return;
    tile_turn.go_on();
  }
}

/// Values of a block that no row of the tile may attend to become zero: what is there may be NaN. By each warpgroup for
/// itself; all meet where rows must be asked.
template <bool Plain, typename Tile, typename T>
HEDDLE_DEVICE void clear_hidden(const Problem<T>& p, Exchange<Tile>& exchange, const HopperRows<Tile, T>& rows,
                                const Block& block, int keys, T* values, int& asked) {
  const bool asks = Tile::kMasked && (block.masked() || (!Plain && p.bias.code));
  if (!asks && (block.index() + 1) * kKeys <= keys) return;
  const int thread = fresh(thread_index()), group = thread / kWarpgroup, key = thread % kKeys;
  bool hidden = block.index() * kKeys + key >= keys;
  if (asks) {
    auto& all = exchange.seen[asked];
    asked ^= 1;
    const uint32_t seen = rows.seen_keys();
    if (lane_index() < 4) all[thread / kWarp][lane_index()] = seen;
    sync_named(kAllBarrier, Tile::kThreads);
    uint32_t some = 0;
    for (int warp = 0; warp < Tile::kWarps; ++warp) some |= all[warp][key % 8 / 2];
    hidden = (some >> (key / 8 * 2 + key % 2) & 1) == 0;
  }
  if (hidden) {
    HEDDLE_NO_UNROLL
    for (int i = thread % kWarpgroup / kKeys * kLine / 2; i < Tile::kSlot / kKeys; i += kLine) {
      T* const line = values + i / kLine * kKeys * kLine + key * kLine;
      HEDDLE_UNROLL
      for (int chunk = 0; chunk < 4; ++chunk) {
        write_words(line + (i % kLine + ((chunk + key) & 3) * kChunk), Words{});  // other banks for the keys beside
      }
    }
  }
  fence_async();
  sync_named(kGroupBarrier + group, kWarpgroup);
}

}  // namespace heddle::cuda
