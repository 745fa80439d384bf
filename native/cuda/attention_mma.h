#pragma once

#include "cuda/attention_blocks.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

/// A lane's place in a product of 16 × 8: rows g and g + 8, columns t and t + 1.
HEDDLE_DEVICE int lane_row() { return fresh(lane_index()) >> 2; }
HEDDLE_DEVICE int lane_column() { return (fresh(lane_index()) & 3) * 2; }

/// Where a chunk lies that the lane reads of rows 0 … 15 of a slot, in halves; further chunks by `chunk_at`. Rows that
/// are a multiple of 16 on are that many times the length of a row on.
template <int Chunks>
HEDDLE_DEVICE int lane_chunk() {
  const int lane = fresh(lane_index());
  return swizzled<Chunks>(lane & 15, lane >> 4);
}
/// The same, `chunk` chunks on, an even number: swizzling is an exclusive or, so it is one more.
HEDDLE_DEVICE int chunk_at(int lane_chunk, int chunk) {
  return (lane_chunk ^ chunk % 8 * kChunk) + chunk / 8 * 8 * kChunk;
}

/// The lane's keys of a block that row r of the tile may attend to: bit 2 j + i for key 8 j + lane_column() + i.
template <bool Masked = true, typename T>
HEDDLE_DEVICE uint32_t kept_keys_inline(const Problem<T>& p, const RowTile& tile, int r, Block block) {
  if (r >= tile.rows) return 0;
  const int start = block.index() * kKeys + lane_column(), left = static_cast<int>(limit_of(p, tile, r)) - start;
  const int count = left < 0 ? 0 : left < kKeys ? left : kKeys;
  uint32_t kept = (1u << (count / 8 * 2 + (count % 8 < 2 ? count % 8 : 2))) - 1;
  if (!Masked || !block.masked()) return kept;
  const MaskRows rows = mask_rows(p, tile, r);
  const int64_t position = position_of(p, tile, r);
  HEDDLE_NO_UNROLL
  for (int bit = 0; bit < kKeys / 4; ++bit) {
    if ((kept >> bit & 1) == 0) continue;
    if (!keeps_inline(p.mask, rows, position, start + bit / 2 * 8 + bit % 2)) kept &= ~(1u << bit);
  }
  return kept;
}

template <typename T>
HEDDLE_DEVICE_CALL uint32_t kept_keys(const Problem<T>& p, const RowTile& tile, int r, Block block) {
  return kept_keys_inline(p, tile, r, block);
}

/// The rows of one warp.
template <typename Tile, typename T>
struct HalfRows {
  static constexpr int kMTiles = Tile::kMTiles;
  static constexpr int kWidth = Tile::kWidth;
  /// A lane's keys of a block, two of each of kKeyTiles columns.
  static constexpr int kKeyTiles = kKeys / 8;
  static constexpr uint32_t kAllKeys = (1u << 2 * kKeyTiles) - 1;

  /// See kept_keys: of the lane's first row of 16, and of its second from bit 16 on.
  uint32_t kept[kMTiles];
  bool partial;  // some row may not attend to some key of the block
  float scores[kMTiles][kKeyTiles][4];
  uint32_t probabilities[kMTiles][kKeys / 16][4];  // two halves each, as mma takes them
  float values[kMTiles][kWidth / 8][4];
  RowState<T> state[kMTiles][2];  // the sum is over the lane's own keys, until `close`

  /// Of the tile's rows.
  HEDDLE_DEVICE static int first() { return fresh(warp_index()) * Tile::kWarpRows; }

  HEDDLE_DEVICE void reset() {
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      state[i][0] = state[i][1] = {};
      HEDDLE_UNROLL
      for (int j = 0; j < kWidth / 8; ++j) values[i][j][0] = values[i][j][1] = values[i][j][2] = values[i][j][3] = 0.0f;
    }
  }

  /// scores = q · k, one chain along the coordinates.
  HEDDLE_DEVICE void multiply_keys(const T* queries, const T* keys) {
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int j = 0; j < kKeyTiles; ++j) scores[i][j][0] = scores[i][j][1] = scores[i][j][2] = scores[i][j][3] = 0.0f;
    }
    const int of_queries = lane_chunk<kWidth / kChunk>(), of_keys = lane_chunk<kKeys / kChunk>();
    queries += first() * kWidth;
    HEDDLE_UNROLL
    for (int step = 0; step < kWidth / 16; ++step) {
      uint32_t q[kMTiles][4];
      HEDDLE_UNROLL
      for (int i = 0; i < kMTiles; ++i) ldmatrix(q[i], queries + i * 16 * kWidth + chunk_at(of_queries, step * 2));
      HEDDLE_UNROLL
      for (int j = 0; j < kKeyTiles; j += 2) {
        uint32_t k[4];
        ldmatrix_transposed(k, keys + step * 16 * kKeys + chunk_at(of_keys, j));
        HEDDLE_UNROLL
        for (int i = 0; i < kMTiles; ++i) {
          mma<T>(scores[i][j], q[i], k[0], k[1]);
          mma<T>(scores[i][j + 1], q[i], k[2], k[3]);
        }
      }
    }
  }

  /// Products with whole numbers → with keys.
  HEDDLE_DEVICE void scale_scores(const float* scales) {
    scales += lane_column();
    HEDDLE_UNROLL
    for (int j = 0; j < kKeyTiles; ++j) {
      HEDDLE_UNROLL
      for (int e = 0; e < 2; ++e) {
        const float scale = scales[j * 8 + e];
        HEDDLE_UNROLL
        for (int i = 0; i < kMTiles; ++i) {
          scores[i][j][e] *= scale;
          scores[i][j][e + 2] *= scale;
        }
      }
    }
  }

  HEDDLE_DEVICE void negate_scores() {
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int j = 0; j < kKeyTiles; ++j) {
        HEDDLE_UNROLL
        for (int e = 0; e < 4; ++e) scores[i][j][e] = -scores[i][j][e];
      }
    }
  }

  /// Finds `partial`, and which keys of a block are kept. Before its scores: then there are registers for it.
  template <bool Plain>
  HEDDLE_DEVICE void find_kept(const Problem<T>& p, const Work<Tile>& work, const Block& block) {
    partial = !Plain || block.masked() || (block.index() + 1) * kKeys > work.least[fresh(warp_index())];
    if (!partial) return;
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      const int r = first() + i * 16 + lane_row();
      if constexpr (Tile::kCalls) {
        kept[i] = kept_keys(p, work.tile, r, block) | kept_keys(p, work.tile, r + 8, block) << 16;
      } else {
        kept[i] = 0;
        HEDDLE_NO_UNROLL
        for (int half = 0; half < 2; ++half) {
          kept[i] |= kept_keys_inline<Tile::kMasked>(p, work.tile, r + half * 8, block) << half * 16;
        }
      }
    }
  }

  /// Products → scores; keys that the bias masks are no longer kept. One element at a time, by way of memory of the
  /// thread's own: there are no registers for all.
  HEDDLE_DEVICE void finish_scores(const Problem<T>& p, const Work<Tile>& work, const Block& block) {
    constexpr int kOwn = kKeyTiles * 4;
    float places[kOwn];
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int at = 0; at < kOwn; ++at) places[at] = scores[i][at / 4][at % 4];
      uint32_t left = kept[i];
      HEDDLE_NO_UNROLL
      for (int at = 0; at < kOwn; ++at) {
        const int j = at / 4, e = at % 4, bit = e / 2 * 16 + 2 * j + e % 2;
        if ((left >> bit & 1) == 0) continue;
        const int r = first() + i * 16 + lane_row() + e / 2 * 8;
        const int64_t key = int64_t{block.index()} * kKeys + j * 8 + lane_column() + e % 2;
        if constexpr (Tile::kCalls) {
          places[at] = score_of(p, work.tile, r, key, places[at], ScoreStage::kMasked);
        } else {
          places[at] = score_inline(p, work.tile, r, key, places[at], ScoreStage::kMasked);
        }
        if (places[at] == -kInfinity) left &= ~(1u << bit);
      }
      kept[i] = left;
      HEDDLE_UNROLL
      for (int at = 0; at < kOwn; ++at) scores[i][at / 4][at % 4] = places[at];
    }
  }

  HEDDLE_DEVICE void hide_scores() {
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int j = 0; j < kKeyTiles; ++j) {
        HEDDLE_UNROLL
        for (int e = 0; e < 4; ++e) {
          if ((kept[i] >> (e / 2 * 16 + 2 * j + e % 2) & 1) == 0) scores[i][j][e] = -kInfinity;
        }
      }
    }
  }

  /// scores → powers of 2 relative to the row's new maximum, which join its sum; what the row's values must be
  /// multiplied by goes to `shrinks`. `factor` is above 0, and turns scores into powers of 2. Whether a lane's maximum
  /// rose.
  HEDDLE_DEVICE bool exponentiate(float factor, float (&shrinks)[kMTiles][2]) {
    bool rises = false;
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int half = 0; half < 2; ++half) {
        float top = -kInfinity;
        HEDDLE_UNROLL
        for (int j = 0; j < kKeyTiles; ++j) {
          top = fmaxf(top, fmaxf(scores[i][j][half * 2], scores[i][j][half * 2 + 1]));
        }
        top = fmaxf(top, shuffle_xor(top, 1));
        top = fmaxf(top, shuffle_xor(top, 2));
        RowState<T>& row = state[i][half];
        const float now = fmaxf(row.max, top * factor), before = row.max;
        shrinks[i][half] = now > before ? exp2_fast(before - now) : 1.0f;  // 2^-∞ = 0 for a first block
        rises = rises || now > before;
        row.max = now;
        const float shift = now == -kInfinity ? 0.0f : now;  // nothing yet: avoids -∞ - (-∞)
        float sum = 0.0f;
        HEDDLE_UNROLL
        for (int j = 0; j < kKeyTiles; ++j) {
          float* const two = &scores[i][j][half * 2];
          two[0] = exp2_fast(fmaf(two[0], factor, -shift));
          two[1] = exp2_fast(fmaf(two[1], factor, -shift));
          sum += two[0] + two[1];
        }
        row.sum = fmaf(row.sum, shrinks[i][half], sum);
      }
    }
    return rises;
  }

  /// Powers → probabilities.
  HEDDLE_DEVICE void round_scores() {
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int j = 0; j < kKeyTiles; ++j) {
        HEDDLE_UNROLL
        for (int half = 0; half < 2; ++half) {
          const float* const two = &scores[i][j][half * 2];
          probabilities[i][j / 2][j % 2 * 2 + half] = narrow_two<T>(two[0], two[1]);
        }
      }
    }
  }

  HEDDLE_DEVICE void shrink_values(bool rises, const float (&shrinks)[kMTiles][2]) {
    if (ballot(rises) == 0) return;  // times 1: the usual case, once some blocks were seen
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int j = 0; j < kWidth / 8; ++j) {
        HEDDLE_UNROLL
        for (int e = 0; e < 4; ++e) values[i][j][e] *= shrinks[i][e / 2];
      }
    }
  }

  HEDDLE_DEVICE void absorb_scores(float factor) {
    float shrinks[kMTiles][2];
    const bool rises = exponentiate(factor, shrinks);
    round_scores();
    shrink_values(rises, shrinks);
  }

  /// The lane's keys, as in kept_keys, that some row of the warp may attend to.
  HEDDLE_DEVICE uint32_t seen_keys() const {
    if (!partial) return kAllKeys;
    uint32_t seen = 0;
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) seen |= (kept[i] | kept[i] >> 16) & kAllKeys;
    HEDDLE_UNROLL
    for (int mask = 4; mask < kWarp; mask *= 2) seen |= shuffle_xor(seen, mask);
    return seen;
  }

  /// values += probabilities · v. Keys that no row may attend to count as zero: what is there may be NaN.
  HEDDLE_DEVICE void multiply_values(const T* v) {
    if (!partial) return multiply_seen_values<true>(v, kAllKeys);
    multiply_seen_values<false>(v, seen_keys());
  }

  /// The sums, of all keys now.
  HEDDLE_DEVICE void close() {
    HEDDLE_UNROLL
    for (int i = 0; i < kMTiles; ++i) {
      HEDDLE_UNROLL
      for (int half = 0; half < 2; ++half) {
        state[i][half].sum += shuffle_xor(state[i][half].sum, 1);
        state[i][half].sum += shuffle_xor(state[i][half].sum, 2);
      }
    }
  }

 private:
  template <bool AllSeen>
  HEDDLE_DEVICE void multiply_seen_values(const T* v, uint32_t seen) {
    const int of_values = lane_chunk<kLine / kChunk>();
    HEDDLE_UNROLL
    for (int step = 0; step < kKeys / 16; ++step) {
      const uint32_t bits = seen >> 4 * step;
      const uint32_t low = (bits & 1 ? 0xffffu : 0u) | (bits & 2 ? 0xffff0000u : 0u);
      const uint32_t high = (bits & 4 ? 0xffffu : 0u) | (bits & 8 ? 0xffff0000u : 0u);
      HEDDLE_UNROLL
      for (int j = 0; j < kWidth / 8; j += 2) {
        uint32_t two[4];
        ldmatrix_transposed(two, v + j / 8 * kKeys * kLine + step * 16 * kLine + chunk_at(of_values, j % 8));
        if constexpr (!AllSeen) {
          two[0] &= low;
          two[1] &= high;
          two[2] &= low;
          two[3] &= high;
        }
        HEDDLE_UNROLL
        for (int i = 0; i < kMTiles; ++i) {
          mma<T>(values[i][j], probabilities[i][step], two[0], two[1]);
          mma<T>(values[i][j + 1], probabilities[i][step], two[2], two[3]);
        }
      }
    }
  }
};

}  // namespace heddle::cuda
