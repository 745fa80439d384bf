#pragma once

#include <climits>

#include "cuda/attention_problem.h"
#include "cuda/reduce.h"
#include "cuda/swizzle.h"

namespace heddle::cuda {

/// What a block works on: 16 · MTiles rows a warp, heads up to `Width` wide. Narrower ones are filled up with zeros,
/// which add nothing.
template <int Width, int Warps, int MTiles>
struct HalfTile {
  static constexpr int kWidth = Width;
  static constexpr int kMTiles = MTiles;
  static constexpr int kThreads = Warps * kWarp;
  static constexpr int kWarpRows = 16 * MTiles;
  static constexpr int kRows = Warps * kWarpRows;
  /// Shared memory, in halves: the queries [kRows][Width], then slots for keys [Width][kKeys] or values
  /// [Width / kLine][kKeys][kLine].
  static constexpr int kQueries = kRows * Width;
  static constexpr int kSlot = Width * kKeys;
  static constexpr int kSlots = 3;
  static constexpr size_t kSharedBytes = 2 * (kQueries + kSlots * kSlot);
  /// Behind them, where pages are of int8: the scales of the block whose keys are in a slot.
  static constexpr size_t kScaleBytes = kSlots * sizeof(PageScales);
  /// Of a chunk of queries.
  HEDDLE_DEVICE static int query_place(int row, int chunk) { return swizzled<Width / kChunk>(row, chunk); }
  static constexpr bool kMasked = true;  // there may be a mask
  static constexpr bool kParks = true;   // totals of the spans before: see ParkedTotals
  static constexpr bool kCalls = true;   // functions that are rarely needed; else they are inlined
  /// Times four floats: what a thread has of the weighted values and of their rows' states.
  static constexpr int kParked = MTiles * (Width / 8 + 1);
};

/// Starts copying the queries of a tile; zeros beyond its rows and their width. Some threads share a row.
template <typename Tile, typename T>
HEDDLE_DEVICE void stage_queries(const Problem<T>& p, const RowTile& tile, T* to) {
  constexpr int kSharers = Tile::kThreads / Tile::kRows, kChunks = Tile::kWidth / kChunk;
  const int thread = fresh(thread_index()), row = thread / kSharers, width = static_cast<int>(p.pages.key_width);
  const T* const q = row < tile.rows ? query_at(p, tile, row) : nullptr;
  HEDDLE_NO_UNROLL
  for (int chunk = thread % kSharers; chunk < kChunks; chunk += kSharers) {
    T* const place = to + Tile::query_place(row, chunk);
    if (p.q_aligned) {
      const bool wanted = q && chunk * kChunk < width;
      copy_async<16>(place, wanted ? q + chunk * kChunk : p.q, wanted);
    } else {
      for (int i = 0; i < kChunk; ++i) place[i] = q && chunk * kChunk + i < width ? q[chunk * kChunk + i] : T{};
    }
  }
}

/// A key block that some row of the tile may attend to, and whether the mask must be asked pair by pair.
class Block {
 public:
  Block() = default;
  HEDDLE_DEVICE Block(int index, bool masked) : bits_(index * 2 + masked) {}
  HEDDLE_DEVICE int index() const { return bits_ >> 1; }
  HEDDLE_DEVICE bool masked() const { return (bits_ & 1) != 0; }

 private:
  int bits_;
};

/// What a block works on, in shared memory: registers are short.
template <typename Tile>
struct Work {
  int index;  // of the tile
  RowTile tile;
  int end;         // of its key blocks
  int first_span;  // that has one
  /// The block whose keys are in a slot. One is worked on; its values and the keys of the next have the other slots.
  Block blocks[Tile::kSlots];
  bool in_first_span;  // the one that is worked on
  /// Of a warp: keys that every row can see, and that some row can: 0 … most - 1.
  int least[Tile::kThreads / kWarp];
  int most[Tile::kThreads / kWarp];
};

/// Of a warp.
template <typename Tile, typename T>
HEDDLE_DEVICE void find_limits(const Problem<T>& p, Work<Tile>& work, int warp) {
  const RowTile& tile = work.tile;
  const int first = warp * Tile::kWarpRows, last = first + Tile::kWarpRows - 1;
  const bool some = first < tile.rows;  // limits rise with the queries
  work.least[warp] = some ? static_cast<int>(limit_of(p, tile, first)) : 0;
  work.most[warp] = some ? static_cast<int>(limit_of(p, tile, last < tile.rows ? last : tile.rows - 1)) : 0;
}

template <typename T>
HEDDLE_DEVICE Block find_masked_block_inline(const Problem<T>& p, const RowTile& tile, int index, int end) {
  const MaskRows rows = mask_rows(p, tile);
  const int64_t from = position_of(p, tile, 0), to = position_of(p, tile, tile.rows - 1) + 1;
  for (; index < end; ++index) {
    const Cover cover = cover_inline(p.mask, rows, from, to, int64_t{index} * kKeys, int64_t{index + 1} * kKeys);
    if (cover != Cover::kNone) return {index, cover == Cover::kMixed};
  }
  return {end, false};
}
template <typename T>
HEDDLE_DEVICE_CALL Block find_masked_block(const Problem<T>& p, const RowTile& tile, int index, int end) {
  return find_masked_block_inline(p, tile, index, end);
}
/// The first such block from `index` on; `end` if there is none. A warp answers together.
template <typename Tile, typename T>
HEDDLE_DEVICE Block find_block(const Problem<T>& p, const RowTile& tile, int index, int end) {
  if (!Tile::kMasked || !p.mask.code) return {index, false};
  if constexpr (Tile::kCalls) return find_masked_block(p, tile, index, end);
  return find_masked_block_inline(p, tile, index, end);
}

/// f(place) for the chunks of a slot that are this thread's, `Together` of them at a time.
template <typename Tile, int Together, typename F>
HEDDLE_DEVICE void for_own_chunks(const F& f) {
  constexpr int kTurns = Tile::kSlot / kChunk / Tile::kThreads, kTogether = Together < kTurns ? Together : kTurns;
  const int first = fresh(thread_index()) * kChunk;
  HEDDLE_NO_UNROLL
  for (int turn = 0; turn < kTurns; turn += kTogether) {
    HEDDLE_UNROLL
    for (int i = 0; i < kTogether; ++i) f(first + (turn + i) * Tile::kThreads * kChunk);
  }
}
/// Copies that are started at a time: of halves all; the code for bytes, which is beside it, is kept short.
template <typename C>
constexpr int kTogether = sizeof(C) == 1 ? 1 : INT_MAX;

/// Starts copying the keys of a block, or its values; zeros beyond their width. Shared memory has them as pages do
/// (see key_place), with whole panels. C: what pages have, halves or int8. Bytes land in the first half of where their
/// halves are to be: see widen_slot.
template <typename Tile, typename C, typename T>
HEDDLE_DEVICE void start_keys(const Problem<T>& p, const C* page, T* slot) {
  const int elements = page ? static_cast<int>(p.pages.key_width) * kKeys : 0;
  for_own_chunks<Tile, kTogether<C>>([&](int at) {
    copy_async<kChunk * sizeof(C)>(slot + at, at < elements ? page + at : p.pages.data, at < elements);
  });
}
template <typename Tile, typename C, typename T>
HEDDLE_DEVICE void start_values(const Problem<T>& p, const C* page, T* slot) {
  constexpr int kPanel = kKeys * kLine;
  const int width = page ? static_cast<int>(p.pages.padded_value_width) : 0;
  const C* const idle = static_cast<const C*>(p.pages.data);
  const C* const from = page ? page + p.pages.value_offset : idle;
  for_own_chunks<Tile, kTogether<C>>([&](int at) {
    const int panel = at / kPanel, left = width - panel * kLine;
    int source = at;
    bool wanted = left >= kLine;
    if (!wanted && left > 0) {
      const int key = at % kPanel / kLine, chunk = at / kChunk % 8 ^ (key & 7);
      wanted = chunk * kChunk < left;
      source = panel * kPanel + key * left + (chunk ^ (key & swizzle_mask(left, chunk))) * kChunk;
    }
    copy_async<kChunk * sizeof(C)>(slot + at, wanted ? from + source : idle, wanted);
  });
}

/// Widens the bytes that this thread had copied to a slot, before other threads read it: those of keys as they are,
/// which is exact, those of values times the scale of their line (`scales`, else null).
template <typename Tile, typename T>
HEDDLE_DEVICE void widen_slot(const float* scales, T* slot) {
  constexpr int kAtOnce = 4;
  for_own_chunks<Tile, kAtOnce>([&](int at) {
    const float scale = scales ? scales[at / kLine % kKeys] : 1.0f;
    const Words bytes = read_words(slot + at);
    const auto number = [&](int i) { return widen(static_cast<int8_t>(bytes.at[i / 4] >> i % 4 * 8)) * scale; };
    Words halves;
    HEDDLE_UNROLL
    for (int i = 0; i < 4; ++i) halves.at[i] = narrow_two<T>(number(2 * i), number(2 * i + 1));
    write_words(slot + at, halves);
  });
}

}  // namespace heddle::cuda
