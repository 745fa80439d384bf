#include <algorithm>

#include "cuda/linear_half.h"
#include "cuda/linear_product.h"
#include "cuda/swizzle.h"

namespace heddle::cuda {
namespace {

constexpr int kPanel = static_cast<int>(kPanelWidth);

/// A tile is kRows of x by kColumns of the weight, kDepth steps along k at a time, kStages of them under way. A warp
/// has MTiles by NTiles products of 16 × 8. Whatever the tile, an output is one chain of mma along k, 16 steps a link;
/// where K ends within a stage zeros are added.
template <int MTiles, int NTiles, int WarpsM, int WarpsN, int Depth, int Stages, bool Aligned = true>
struct Tile {
  static constexpr int kMTiles = MTiles, kNTiles = NTiles;
  static constexpr int kWarpsN = WarpsN;
  static constexpr int kRows = 16 * MTiles * WarpsM;
  static constexpr int kColumns = 8 * NTiles * WarpsN;
  static constexpr int kThreads = kWarp * WarpsM * WarpsN;
  static constexpr int kDepth = Depth;
  static constexpr int kStages = Stages;
  static constexpr bool kAligned = Aligned;  // rows of x may be read 16 bytes at a time

  /// In halves: x [kRows][kDepth], then the weight [kDepth][kColumns].
  static constexpr int kStagedX = kRows * kDepth;
  static constexpr int kStage = kStagedX + kDepth * kColumns;
  /// The sums as floats go the same way in the end. Eight more a row: those of four rows are in different banks.
  static constexpr int kSumsRow = kColumns + 8;
  static constexpr size_t kSharedBytes =
      std::max(size_t{2} * kStages * kStage, sizeof(float) * static_cast<size_t>(kRows) * kSumsRow);
};
/// Few rows are bound by memory: a block is as little of a panel as still reads whole sectors, and most of what it
/// holds is under way. With many panels four such share x.
using NarrowTile = Tile<1, 2, 1, 1, 64, 12>;
using SmallTile = Tile<1, 2, 1, 4, 64, 6>;
using MiddleTile = Tile<2, 4, 2, 2, 64, 6>;
using LargeTile = Tile<4, 8, 2, 2, 32, 4>;
/// What cannot be read 16 bytes at a time goes through registers.
using UnalignedTile = Tile<2, 4, 2, 2, 64, 3, false>;

/// Starts copying x[first row …, k …] and weight[k …, first column …] into a stage; zeros beyond their ends.
template <typename Tile, typename T>
HEDDLE_DEVICE void stage_slice(const Product<T>& p, T* stage, const Place& first, int64_t k) {
  constexpr int kXChunks = Tile::kDepth / kChunk, kChunks = Tile::kColumns / kChunk;
  HEDDLE_UNROLL
  for (int i = thread_index(); i < Tile::kDepth * kChunks; i += Tile::kThreads) {
    const int row = i / kChunks, chunk = i % kChunks;
    const int64_t column = first.column + chunk * kChunk;
    const bool wanted = k + row < p.k && column < p.n;
    const int64_t from = (column / kPanel * p.k + k + row) * kPanel + column % kPanel;
    copy_async<16>(stage + Tile::kStagedX + swizzled<kChunks>(row, chunk), p.weight + (wanted ? from : 0), wanted);
  }
  if constexpr (Tile::kAligned) {
    HEDDLE_UNROLL
    for (int i = thread_index(); i < Tile::kRows * kXChunks; i += Tile::kThreads) {
      const int row = i / kXChunks, chunk = i % kXChunks;
      const bool wanted = first.row + row < p.rows && k + chunk * kChunk < p.k;
      const int64_t from = (first.row + row) * p.k + k + chunk * kChunk;
      copy_async<16>(stage + swizzled<kXChunks>(row, chunk), p.x + (wanted ? from : 0), wanted);
    }
  } else {
    HEDDLE_NO_UNROLL
    for (int i = thread_index(); i < Tile::kRows * Tile::kDepth; i += Tile::kThreads) {
      const int row = i / Tile::kDepth, column = i % Tile::kDepth;
      const bool wanted = first.row + row < p.rows && k + column < p.k;
      T* const to = stage + swizzled<kXChunks>(row, column / kChunk) + column % kChunk;
      *to = wanted ? p.x[(first.row + row) * p.k + k + column] : T{};
    }
  }
}

/// out [rows, n]: a block a tile.
template <typename T, typename Tile>
HEDDLE_KERNEL(Tile::kThreads)
multiply_halves(HEDDLE_PARAMETER Product<T> p) {
  constexpr int kMTiles = Tile::kMTiles, kNTiles = Tile::kNTiles, kStages = Tile::kStages;
  T* const stages = reinterpret_cast<T*>(dynamic_shared());
  const Place first = place_of_tile<Tile>(block_x(), p.rows, p.n);
  const int row = warp_index() / Tile::kWarpsN * 16 * kMTiles, column = warp_index() % Tile::kWarpsN * 8 * kNTiles;
  float sums[kMTiles][kNTiles][4] = {};

  HEDDLE_NO_UNROLL
  for (int s = 0; s < kStages - 1; ++s) {
    if (s * Tile::kDepth < p.k) stage_slice<Tile>(p, stages + s * Tile::kStage, first, s * Tile::kDepth);
    commit_copies();
  }
  int turn = 0;
  HEDDLE_NO_UNROLL
  for (int64_t k = 0; k < p.k; k += Tile::kDepth) {
    wait_copies<kStages - 2>();
    sync_block();  // the slice is there, and nobody reads the one before it any more
    const int free = turn == 0 ? kStages - 1 : turn - 1;
    const int64_t ahead = k + (kStages - 1) * Tile::kDepth;
    if (ahead < p.k) stage_slice<Tile>(p, stages + free * Tile::kStage, first, ahead);
    commit_copies();
    const T* const x = stages + turn * Tile::kStage;
    const T* const weight = x + Tile::kStagedX;
    turn = turn == kStages - 1 ? 0 : turn + 1;
    HEDDLE_UNROLL
    for (int step = 0; step < Tile::kDepth / 16; ++step) {
      uint32_t a[kMTiles][4];
      HEDDLE_UNROLL
      for (int i = 0; i < kMTiles; ++i) {
        const int at = row + i * 16 + lane_index() % 16, chunk = step * 2 + lane_index() / 16;
        ldmatrix(a[i], x + swizzled<Tile::kDepth / kChunk>(at, chunk));
      }
      HEDDLE_UNROLL
      for (int j = 0; j < kNTiles; j += 2) {
        uint32_t b[4];
        const int at = step * 16 + lane_index() % 16, chunk = column / kChunk + j + lane_index() / 16;
        ldmatrix_transposed(b, weight + swizzled<Tile::kColumns / kChunk>(at, chunk));
        HEDDLE_UNROLL
        for (int i = 0; i < kMTiles; ++i) {
          mma<T>(sums[i][j], a[i], b[0], b[1]);
          mma<T>(sums[i][j + 1], a[i], b[2], b[3]);
        }
      }
    }
  }

  // Through shared memory: then a thread has four neighbours, and one copy of what becomes of them will do.
  wait_copies<0>();
  sync_block();
  float* const all = dynamic_shared();
  HEDDLE_UNROLL
  for (int i = 0; i < kMTiles; ++i) {
    HEDDLE_UNROLL
    for (int j = 0; j < kNTiles; ++j) {
      HEDDLE_UNROLL
      for (int half = 0; half < 2; ++half) {
        float* const to =
            all + (row + i * 16 + half * 8 + lane_index() / 4) * Tile::kSumsRow + column + j * 8 + lane_index() % 4 * 2;
        to[0] = sums[i][j][half * 2];
        to[1] = sums[i][j][half * 2 + 1];
      }
    }
  }
  sync_block();
  HEDDLE_NO_UNROLL
  for (int i = thread_index() * 4; i < Tile::kRows * Tile::kColumns; i += Tile::kThreads * 4) {
    const int64_t m = first.row + i / Tile::kColumns, n = first.column + i % Tile::kColumns;
    if (m >= p.rows || n >= p.n) continue;
    const float4 four =
        *reinterpret_cast<const float4*>(all + i / Tile::kColumns * Tile::kSumsRow + i % Tile::kColumns);
    if (p.float32_out) {
      finish_four<float>(p, four, m, n);
    } else {
      finish_four<T>(p, four, m, n);
    }
  }
}

template <typename T, typename Tile>
Status run_tile(const Product<T>& p, CudaContext& context) {
  const int64_t tiles = ceil_div(p.rows, Tile::kRows) * ceil_div(p.n, Tile::kColumns);
  return launch(multiply_halves<T, Tile>, {tiles, Tile::kThreads, 1, Tile::kSharedBytes}, context, p);
}

}  // namespace

Status linear_half(const Linear& op, CudaContext& context) {
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1], rows = op.out->numel() / n;
  return with_float_type(op.x->dtype, [&](auto type) -> Status {
    using T = decltype(type);
    if constexpr (std::is_same_v<T, float>) {
      return kInvalidValue;
    } else {
      const auto first_byte = [](const Tensor* x) -> char* {
        return x ? static_cast<char*>(x->storage->data) + x->offset * static_cast<int64_t>(size_of(x->dtype)) : nullptr;
      };
      const T* x = op.x->data<T>();
      const void* residual = first_byte(op.residual);
      void* out = first_byte(op.out);
      const Product<T> p{rows,
                         n,
                         k,
                         op.out->dtype == DType::kFloat32,
                         n % 4 == 0 && is_aligned(out) && is_aligned(residual),
                         op.activation,
                         x,
                         op.weight->data<T>(),
                         op.bias ? op.bias->data<T>() : nullptr,
                         residual,
                         out};
      const auto tiles = [&](auto tile) {
        using Tile = decltype(tile);
        return ceil_div(rows, Tile::kRows) * ceil_div(n, Tile::kColumns);
      };
      if (is_hopper(context) && k > 0) return linear_hopper(p, context);
      if (k % kChunk != 0 || !is_aligned(x)) return run_tile<T, UnalignedTile>(p, context);
      if (rows <= SmallTile::kRows) {
        return tiles(SmallTile{}) >= 2 * context.multiprocessors ? run_tile<T, SmallTile>(p, context)
                                                                 : run_tile<T, NarrowTile>(p, context);
      }
      return tiles(LargeTile{}) >= context.multiprocessors ? run_tile<T, LargeTile>(p, context)
                                                           : run_tile<T, MiddleTile>(p, context);
    }
  });
}

}  // namespace heddle::cuda
