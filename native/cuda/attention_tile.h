#pragma once

#include "cuda/attention_problem.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

constexpr int kAttentionThreads = 256;
constexpr int kAttentionWarps = kAttentionThreads / kWarp;
/// Coordinates of keys, or keys of values, that are staged at a time.
constexpr int kDepth = 16;
constexpr int kStages = 3;
/// A stage holds keys [kDepth][kKeys] and queries [rows][kDepth], or values [kDepth][Width].
constexpr int kStageFloats = 2048;
constexpr int kStagedQueries = kDepth * kKeys;
using Stages = float[kStages][kStageFloats];

/// What of a tile's data goes through the stages, slice by slice: for each key block its keys with the queries, then
/// its values. Each thread copies the same place of every slice: four elements of a page to where their floats are to
/// be. Smaller ones land in the first bytes there, and their thread widens them (`land`). Scales of int8 come with a
/// block's first slice: those of the block before were needed before its values.
template <int Rows, int Width>
struct Slices {
  const Problem<float>& p;
  const RowTile& tile;
  int32_t block;  // of the next slice
  int32_t end;
  int32_t column;  // first of the value columns
  float* scales;   // see start_scales
  int at = 0;      // the slice within its block
  const float* q = nullptr;

  static constexpr int kValueSlices = kKeys / kDepth;
  static_assert(kValueSlices >= kStages - 1);  // or scales would come while those before them are read
  /// Of a slice of keys, and of values.
  static constexpr int kKeyFloats = kDepth * kKeys, kValueFloats = kDepth * Width;

  HEDDLE_DEVICE int key_slices() const { return static_cast<int>((p.pages.key_width + kDepth - 1) / kDepth); }

  HEDDLE_DEVICE void find_query() {
    const int row = thread_index() / 4;
    if (row >= tile.rows) return;
    q = query_at(p, tile, row);
  }

  /// Starts copying the next slice, if there is one.
  HEDDLE_DEVICE void start(float* stage) {
    if (block < end) {
      char* const page = page_of<char>(p.pages, tile.b, block, tile.kv_head);
      if (at == 0 && p.pages.dtype == DType::kInt8) start_scales(p.pages, page, scales);
      if (at < key_slices()) {
        start_keys(page, at * kDepth, stage);
      } else {
        start_values(page, (at - key_slices()) * kDepth, stage);
      }
      if (++at == key_slices() + kValueSlices) {
        at = 0;
        block = next_block(p, tile, block + 1, end);
      }
    }
    commit_copies();
  }

  /// Behind the wait for a slice of so many floats, before other threads read it.
  HEDDLE_DEVICE void land(float* stage, int floats) const {
    if (p.pages.dtype == DType::kFloat32) return;
    for (int i = fresh(thread_index()) * 4; i < floats; i += kAttentionThreads * 4) {
      *reinterpret_cast<float4*>(stage + i) = widen_four(read_words(stage + i), p.pages.dtype);
    }
  }

 private:
  HEDDLE_DEVICE void copy_four(float* to, const char* page, int64_t place, bool wanted) const {
    const void* const from = wanted ? page + place * p.pages.element_bytes : p.pages.data;
    if (p.pages.dtype == DType::kFloat32) {
      copy_async<16>(to, from, wanted);
    } else if (p.pages.dtype == DType::kInt8) {
      copy_async<4>(to, from, wanted);
    } else {
      copy_async<8>(to, from, wanted);
    }
  }

  /// What a copy that brings zeros is given to read from.
  HEDDLE_DEVICE const float* idle_source() const { return static_cast<const float*>(p.pages.data); }

  HEDDLE_DEVICE void start_keys(const char* page, int first, float* stage) const {
    const int thread = fresh(thread_index()), d = thread / (kKeys / 4), key = thread % (kKeys / 4) * 4;
    const bool wide = p.pages.dtype == DType::kFloat32;
    const int64_t place = wide ? key_place<float>(key, first + d) : key_place<Float16>(key, first + d);
    copy_four(stage + d * kKeys + key, page, place, page && first + d < p.pages.key_width);
    const int row = thread_index() / 4, coordinate = thread_index() % 4 * 4;
    if (row >= Rows) return;
    float* const to = stage + kStagedQueries + row * kDepth + coordinate;
    const auto inside = [&](int i) { return q && first + coordinate + i < p.pages.key_width; };
    if (p.q_aligned) {
      copy_async<16>(to, inside(0) ? q + first + coordinate : idle_source(), inside(0));
    } else {
      for (int i = 0; i < 4; ++i) {
        copy_async<4>(to + i, inside(i) ? q + first + coordinate + i : idle_source(), inside(i));
      }
    }
  }

  HEDDLE_DEVICE void start_values(const char* page, int first, float* stage) const {
    const bool wide = p.pages.dtype == DType::kFloat32;
    const int64_t offset = p.pages.value_offset, width = p.pages.padded_value_width;
    for (int i = fresh(thread_index()) * 4; i < kValueFloats; i += kAttentionThreads * 4) {
      const int64_t key = first + i / Width, d = column + i % Width;
      const int64_t place =
          wide ? value_place<float>(offset, width, key, d) : value_place<Float16>(offset, width, key, d);
      copy_four(stage + i, page, place, page && d < width);
    }
  }
};

/// Whether a row may attend to a key, of a block that the mask keeps or must be asked about.
HEDDLE_DEVICE_CALL bool keeps_key(const Problem<float>& p, const RowTile& tile, int64_t r, int64_t key, bool masked) {
  if (r >= tile.rows || key >= limit_of(p, tile, r)) return false;
  return !masked || keeps_inline(p.mask, mask_rows(p, tile, r), position_of(p, tile, r), key);
}

/// The rows of one warp. A lane has the scores of two keys of each row, and every 32nd value column; what is known of
/// a row is known to all lanes.
template <int RowsPerWarp, int Width>
struct WarpRows {
  static constexpr int kColumns = Width / kWarp;

  int first;      // of the tile's rows
  int32_t least;  // keys that every row can see, and that some row can: 0 … most - 1
  int32_t most;
  uint64_t seen;  // bit j: whether some row may attend to key j of the block
  float scores[RowsPerWarp][2];
  RowState<float> state[RowsPerWarp];
  float values[RowsPerWarp][kColumns];

  HEDDLE_DEVICE WarpRows(const Problem<float>& p, const RowTile& tile)
      : first(warp_index() * RowsPerWarp), least(0), most(0) {
    if (first >= tile.rows) return;
    const int last = first + RowsPerWarp < tile.rows ? first + RowsPerWarp : tile.rows;
    least = static_cast<int32_t>(limit_of(p, tile, first));  // limits rise with the queries
    most = static_cast<int32_t>(limit_of(p, tile, last - 1));
  }

  HEDDLE_DEVICE void reset() {
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      state[r] = {};
      HEDDLE_UNROLL
      for (int c = 0; c < kColumns; ++c) values[r][c] = 0.0f;
    }
  }

  HEDDLE_DEVICE void reset_scores() {
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) scores[r][0] = scores[r][1] = 0.0f;
  }

  /// scores += q · k over one slice of coordinates.
  HEDDLE_DEVICE void multiply_keys(const float* stage) {
    const float* const q = stage + kStagedQueries + warp_index() * RowsPerWarp * kDepth;
    HEDDLE_UNROLL
    for (int d = 0; d < kDepth; d += 4) {
      float k[4][2];
      HEDDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        k[i][0] = stage[(d + i) * kKeys + lane_index()];
        k[i][1] = stage[(d + i) * kKeys + lane_index() + kWarp];
      }
      HEDDLE_UNROLL
      for (int r = 0; r < RowsPerWarp; ++r) {
        const float4 x = *reinterpret_cast<const float4*>(q + r * kDepth + d);
        const float along[4] = {x.x, x.y, x.z, x.w};
        HEDDLE_UNROLL
        for (int i = 0; i < 4; ++i) {
          scores[r][0] = fmaf(along[i], k[i][0], scores[r][0]);
          scores[r][1] = fmaf(along[i], k[i][1], scores[r][1]);
        }
      }
    }
  }

  /// Bit 2 r + i: whether row r may attend to the lane's key i of a block.
  HEDDLE_DEVICE uint32_t kept_keys(const Problem<float>& p, const RowTile& tile, int32_t block) const {
    const bool masked = cover_of_block(p, tile, block) == Cover::kMixed;
    if (!masked && (block + 1) * kKeys <= least) return ~0u;
    uint32_t kept = 0;
    HEDDLE_NO_UNROLL
    for (int row = 0; row < 2 * RowsPerWarp; ++row) {
      if (keeps_key(p, tile, first + row / 2, block * kKeys + row % 2 * kWarp + lane_index(), masked))
        kept |= 1u << row;
    }
    return kept;
  }

  /// Products → scores; keys that the bias masks are no longer kept. By way of the warp's part of shared memory, where
  /// each lane has places of its own: one element at a time.
  HEDDLE_DEVICE void finish_scores(const Problem<float>& p, const RowTile& tile, int32_t block, uint32_t& kept,
                                   float* places) {
    const int rows = tile.rows - first < RowsPerWarp ? tile.rows - first : RowsPerWarp;
    kept &= rows > 0 ? (1u << 2 * rows) - 1 : 0u;  // a block that all may attend to has every bit
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      HEDDLE_UNROLL
      for (int i = 0; i < 2; ++i) places[r * kKeys + lane_index() + i * kWarp] = scores[r][i];
    }
    HEDDLE_NO_UNROLL
    for (int at = 0; at < 2 * RowsPerWarp; ++at) {
      const int64_t r = first + at / 2, key = int64_t{block} * kKeys + at % 2 * kWarp + lane_index();
      if ((kept >> at & 1) == 0) continue;
      float& place = places[at / 2 * kKeys + lane_index() + at % 2 * kWarp];
      place = score_of(p, tile, r, key, place, ScoreStage::kMasked);
      if (place == -kInfinity) kept &= ~(1u << at);
    }
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      HEDDLE_UNROLL
      for (int i = 0; i < 2; ++i) scores[r][i] = places[r * kKeys + lane_index() + i * kWarp];
    }
  }

  /// Scores of a key block → probabilities relative to the row's new maximum, into the warp's part of shared memory
  /// [RowsPerWarp][kKeys]; what the rows hold is rescaled to it. With int8, products become scores of keys, and
  /// probabilities those of values, by their scales.
  template <bool Plain>
  HEDDLE_DEVICE void absorb_scores(const Problem<float>& p, const RowTile& tile, int32_t block, const float* scales,
                                   float* probabilities) {
    const bool scaled = p.pages.dtype == DType::kInt8;
    if (scaled) {
      HEDDLE_UNROLL
      for (int r = 0; r < RowsPerWarp; ++r) {
        HEDDLE_UNROLL
        for (int i = 0; i < 2; ++i) scores[r][i] *= scales[lane_index() + i * kWarp];
      }
    }
    uint32_t kept = kept_keys(p, tile, block);
    if constexpr (!Plain) finish_scores(p, tile, block, kept, probabilities);
    constexpr uint32_t kFirstKeys = 0x55555555u;
    seen = static_cast<uint64_t>(ballot((kept & ~kFirstKeys) != 0)) << kWarp | ballot((kept & kFirstKeys) != 0);
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      float s[2];
      HEDDLE_UNROLL
      for (int i = 0; i < 2; ++i)
        s[i] = (kept >> (2 * r + i) & 1) != 0 ? scores[r][i] * (Plain ? p.scale : 1.0f) : -kInfinity;
      const float now = fmaxf(state[r].max, reduce_warp(fmaxf(s[0], s[1]), Largest{}));
      if (now > state[r].max) {
        const float shrink = expf(state[r].max - now);  // e^-∞ = 0 for a first block
        state[r].max = now;
        state[r].sum *= shrink;
        HEDDLE_UNROLL
        for (int c = 0; c < kColumns; ++c) values[r][c] *= shrink;
      }
      const float shift = now == -kInfinity ? 0.0f : now;  // nothing yet: avoids -∞ - (-∞)
      HEDDLE_UNROLL
      for (int i = 0; i < 2; ++i) probabilities[r * kKeys + lane_index() + i * kWarp] = s[i] = expf(s[i] - shift);
      state[r].sum += reduce_warp(s[0] + s[1], Sum{});
    }
    if (!scaled) return;
    // A hidden key's scale may be NaN.
    HEDDLE_UNROLL
    for (int r = 0; r < RowsPerWarp; ++r) {
      HEDDLE_UNROLL
      for (int i = 0; i < 2; ++i) {
        float& place = probabilities[r * kKeys + lane_index() + i * kWarp];
        place = (kept >> (2 * r + i) & 1) != 0 ? place * scales[kKeys + lane_index() + i * kWarp] : 0.0f;
      }
    }
  }

  /// values += probabilities · v over one slice of keys, the first of them `first` in its block. Keys that no row may
  /// attend to count as zero: what is there may be NaN.
  HEDDLE_DEVICE void multiply_values(const float* stage, int first, const float* probabilities) {
    const uint32_t wanted = static_cast<uint32_t>(seen >> first) & ((1u << kDepth) - 1);
    if (wanted == 0) return;
    const bool whole = wanted == (1u << kDepth) - 1;
    HEDDLE_UNROLL
    for (int key = 0; key < kDepth; key += 4) {
      float v[4][kColumns];
      HEDDLE_UNROLL
      for (int i = 0; i < 4; ++i) {
        HEDDLE_UNROLL
        for (int c = 0; c < kColumns; ++c) v[i][c] = stage[(key + i) * Width + c * kWarp + lane_index()];
        if (whole || (wanted >> (key + i) & 1) != 0) continue;
        HEDDLE_UNROLL
        for (int c = 0; c < kColumns; ++c) v[i][c] = 0.0f;
      }
      HEDDLE_UNROLL
      for (int r = 0; r < RowsPerWarp; ++r) {
        const float4 x = *reinterpret_cast<const float4*>(probabilities + r * kKeys + first + key);
        const float along[4] = {x.x, x.y, x.z, x.w};
        HEDDLE_UNROLL
        for (int i = 0; i < 4; ++i) {
          HEDDLE_UNROLL
          for (int c = 0; c < kColumns; ++c) values[r][c] = fmaf(along[i], v[i][c], values[r][c]);
        }
      }
    }
  }
};

}  // namespace heddle::cuda
