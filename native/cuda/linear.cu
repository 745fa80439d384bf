#include <algorithm>

#include "cuda/activation.h"
#include "cuda/kernels.h"
#include "cuda/linear_half.h"
#include "cuda/linear_quantized.h"
#include "ops/linear.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPanel = static_cast<int>(kPanelWidth);
/// Steps along k that are staged at a time, for every tile: where K ends within a stage, zeros are added.
constexpr int kDepth = 16;
/// Floats between the rows of a staged x: a multiple of four that puts four rows on, a thread reads other banks.
constexpr int kRowFloats = kDepth + 4;

/// A tile is 16 · RowsPerThread rows of one panel; a thread has RowsPerThread rows and four columns of it. Few rows
/// are bound by memory: what they save on x they spend on stages.
template <int RowsPerThread, int NumStages>
struct Tile {
  static constexpr int kRows = 16 * RowsPerThread;
  static constexpr int kStages = NumStages;

  struct Stage {
    float x[kRows][kRowFloats];
    float weight[kDepth][kPanel];
  };
  using Stages = Stage[kStages];
};
using SmallTile = Tile<1, 8>;
using LargeTile = Tile<8, 3>;

struct Product {
  int64_t rows, n, k;
  bool aligned;  // rows of x may be read 16 bytes at a time
  Activation activation;
  const float* x;
  const float* weight;
  const float* bias;
  const float* residual;
  float* out;
};

/// Starts copying x[first_row …, k …] and weight[k …] into a stage; zeros beyond the last row and beyond K.
template <typename Tile>
HEDDLE_DEVICE void stage_slice(const Product& p, typename Tile::Stage& stage, int64_t first_row, int64_t k) {
  const float* panel = p.weight + block_x() * p.k * kPanel;
  for (int i = thread_index(); i < kDepth * kPanel / 4; i += kThreads) {
    const int row = i / (kPanel / 4), column = i % (kPanel / 4) * 4;
    const bool wanted = k + row < p.k;
    copy_async<16>(&stage.weight[row][column], wanted ? panel + (k + row) * kPanel + column : panel, wanted);
  }
  if (p.aligned) {
    for (int i = thread_index(); i < Tile::kRows * kDepth / 4; i += kThreads) {
      const int row = i / (kDepth / 4), column = i % (kDepth / 4) * 4;
      const bool wanted = first_row + row < p.rows && k + column < p.k;
      copy_async<16>(&stage.x[row][column], wanted ? p.x + (first_row + row) * p.k + k + column : p.x, wanted);
    }
  } else {
    for (int i = thread_index(); i < Tile::kRows * kDepth; i += kThreads) {
      const int row = i / kDepth, column = i % kDepth;
      const bool wanted = first_row + row < p.rows && k + column < p.k;
      copy_async<4>(&stage.x[row][column], wanted ? p.x + (first_row + row) * p.k + k + column : p.x, wanted);
    }
  }
}

/// A call: 32 of them stand in a tile's epilogue.
HEDDLE_DEVICE_CALL float activate_sum(float x, Activation activation) { return activate(x, activation); }

/// out [rows, n]: a block a panel (x) and tile of rows (y). Each sum is one chain along k.
template <typename Tile, int RowsPerThread>
HEDDLE_KERNEL(kThreads)
multiply(Product p) {
  HEDDLE_SHARED(typename Tile::Stages, stages);
  const int64_t first_row = block_y() * Tile::kRows;
  const int row = thread_index() / 16 * RowsPerThread, column = thread_index() % 16 * 4;
  float4 sums[RowsPerThread] = {};

  for (int s = 0; s < Tile::kStages - 1; ++s) {
    if (s * kDepth < p.k) stage_slice<Tile>(p, stages[s], first_row, s * kDepth);
    commit_copies();
  }
  int turn = 0;
  for (int64_t k = 0; k < p.k; k += kDepth) {
    wait_copies<Tile::kStages - 2>();
    sync_block();  // the slice is there, and nobody reads the one before it any more
    const int64_t ahead = k + (Tile::kStages - 1) * kDepth;
    if (ahead < p.k) stage_slice<Tile>(p, stages[(turn + Tile::kStages - 1) % Tile::kStages], first_row, ahead);
    commit_copies();
    const typename Tile::Stage& stage = stages[turn];
    turn = (turn + 1) % Tile::kStages;
    if (first_row + row >= p.rows) continue;
    HEDDLE_UNROLL
    for (int i = 0; i < kDepth; i += 4) {
      float4 weight[4];
      HEDDLE_UNROLL
      for (int j = 0; j < 4; ++j) weight[j] = *reinterpret_cast<const float4*>(&stage.weight[i + j][column]);
      HEDDLE_UNROLL
      for (int r = 0; r < RowsPerThread; ++r) {
        const float4 x = *reinterpret_cast<const float4*>(&stage.x[row + r][i]);
        const float along[4] = {x.x, x.y, x.z, x.w};
        HEDDLE_UNROLL
        for (int j = 0; j < 4; ++j) {
          sums[r] = map_four(sums[r], weight[j], [&](float sum, float w) { return fmaf(along[j], w, sum); });
        }
      }
    }
  }

  HEDDLE_UNROLL
  for (int r = 0; r < RowsPerThread; ++r) {
    const float sum[4] = {sums[r].x, sums[r].y, sums[r].z, sums[r].w};
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int64_t m = first_row + row + r, n = block_x() * kPanel + column + j;
      if (m >= p.rows || n >= p.n) continue;
      float y = p.bias ? sum[j] + p.bias[n] : sum[j];
      y = activate_sum(y, p.activation);
      p.out[m * p.n + n] = p.residual ? y + p.residual[m * p.n + n] : y;
    }
  }
}

}  // namespace

Status run(const Linear& op, CudaContext& context) {
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  if (op.out->numel() == 0) return kSuccess;
  if (is_quantized(op.weight->dtype)) return linear_quantized(op, context);
  if (op.x->dtype != DType::kFloat32) return linear_half(op, context);
  const auto data = [](const Tensor* tensor) -> float* { return tensor ? tensor->data<float>() : nullptr; };
  const int64_t rows = op.out->numel() / n;
  const float* x = op.x->data<float>();
  const Product product{rows,
                        n,
                        k,
                        k % 4 == 0 && is_aligned(x),
                        op.activation,
                        x,
                        data(op.weight),
                        data(op.bias),
                        data(op.residual),
                        data(op.out)};
  const int64_t panels = ceil_div(n, kPanelWidth);
  const bool small = rows <= 2 * SmallTile::kRows;
  // The grid's second axis is short: very many rows take several launches.
  constexpr int64_t kMaxTiles = 65535;
  const int64_t tile_rows = small ? SmallTile::kRows : LargeTile::kRows;
  for (int64_t first = 0; first < rows; first += kMaxTiles * tile_rows) {
    Product part = product;
    part.rows = std::min(rows - first, kMaxTiles * tile_rows);
    part.x += first * k;
    part.out += first * n;
    if (part.residual) part.residual += first * n;
    const Grid grid{panels, kThreads, ceil_div(part.rows, tile_rows)};
    const Status status = small ? launch(multiply<SmallTile, 1>, grid, context, part)
                                : launch(multiply<LargeTile, 8>, grid, context, part);
    if (status != kSuccess) return status;
  }
  return kSuccess;
}

}  // namespace heddle::cuda
