#include <algorithm>

#include "cuda/linear_product.h"
#include "cuda/swizzle.h"
#include "cuda/tensor_map.h"

namespace heddle::cuda {
namespace {

constexpr int kPanel = static_cast<int>(kPanelWidth);
constexpr int kDepth = 64;  // steps along k that are copied at a time
constexpr int kPadThreads = 128;

/// A tile is Rows of x by a panel of the weight for each of Groups warpgroups. The weight is the left factor, whose 64
/// rows wgmma asks for, and rows of x the right one, of 8 … 256 columns: so one row and thousands are the same
/// instruction, 16 steps along k a link, in one order. One more warp copies; where
/// there are two groups a warpgroup, since registers are dealt out by warpgroups.
template <int Rows, int Groups, int Stages>
struct WideTile {
  static constexpr int kRows = Rows;
  static constexpr int kColumns = kPanel * Groups;
  static constexpr int kThreads = kWarpgroup * Groups;  // that multiply
  static constexpr int kBlockThreads = kThreads + (Groups == 1 ? kWarp : kWarpgroup);
  static constexpr int kStages = Stages;
  /// Few rows are bound by memory: two blocks a multiprocessor have some 200 KiB under way, and one goes on copying
  /// while the other writes.
  static constexpr int kBeside = Groups == 1 ? 2 : 1;
  /// In halves: a panel's steps [kDepth][kPanel] for each group, then x [Rows][kDepth].
  static constexpr int kStagedX = kDepth * kColumns;
  static constexpr int kStage = kStagedX + Rows * kDepth;
  /// Sums become rows of out by way of memory of their group's own, some rows at a time. Four floats more a row: what
  /// the lanes of a warp write lies in different banks.
  static constexpr int kSumsRows = Rows < 32 ? Rows : 32;
  static constexpr int kSumsRow = kPanel + 4;
  static constexpr size_t kSharedBytes =
      size_t{2} * kStages * kStage + sizeof(float) * Groups * kSumsRows * kSumsRow + kSwizzleBytes;
};

template <typename Tile>
struct Ring {
  Barrier full[Tile::kStages];
  Barrier free[Tile::kStages];
};

#if defined(HEDDLE_HOPPER)

/// By one thread.
template <typename Tile, typename T>
HEDDLE_DEVICE void copy_tiles(const Product<T>& p, const TensorMap& weight, const TensorMap& x, Ring<Tile>& ring,
                              T* stages, int64_t tiles) {
  Turn<Tile::kStages> turn;
  HEDDLE_NO_UNROLL
  for (int64_t tile = block_x(); tile < tiles; tile += num_blocks_x()) {
    const Place first = place_of_tile<Tile>(tile, p.rows, p.n);
    HEDDLE_NO_UNROLL
    for (int64_t k = 0; k < p.k; k += kDepth) {
      Barrier& full = ring.full[turn.slot];
      T* const to = stages + turn.slot * Tile::kStage;
      wait(ring.free[turn.slot], turn.parity ^ 1);
      arrive_expecting(full, Tile::kStage * static_cast<int>(sizeof(T)));
      for (int panel = 0; panel < Tile::kColumns / kPanel; ++panel) {
        copy_box(to + panel * kDepth * kPanel, weight, 0, k, first.column / kPanel + panel, full);
      }
      copy_box(to + Tile::kStagedX, x, k, first.row, 0, full);
      turn.go_on();
    }
  }
}

/// Sums [64 of out's columns, Rows] of a warpgroup → rows of out.
template <typename Tile, typename T>
HEDDLE_DEVICE void write_sums(const Product<T>& p, const Place& first, int group, float (&sums)[Tile::kRows / 8][4],
                              float* own) {
  constexpr int kTiles = Tile::kSumsRows / 8;
  const int thread = thread_index() % kWarpgroup;
  const int column = thread / kWarp * 16 + lane_index() / 4, row = lane_index() % 4 * 2;
  HEDDLE_NO_UNROLL
  for (int part = 0; part < Tile::kRows / Tile::kSumsRows; ++part) {
    HEDDLE_UNROLL
    for (int j = 0; j < Tile::kRows / 8; ++j) {
      if (j / kTiles != part) continue;  // registers have no index: each part's are named
      float* const to = own + (j % kTiles * 8 + row) * Tile::kSumsRow + column;
      to[0] = sums[j][0];
      to[Tile::kSumsRow] = sums[j][1];
      to[8] = sums[j][2];
      to[Tile::kSumsRow + 8] = sums[j][3];
    }
    sync_named(1 + group, kWarpgroup);
    HEDDLE_NO_UNROLL
    for (int i = thread * 4; i < Tile::kSumsRows * kPanel; i += kWarpgroup * 4) {
      const int64_t m = first.row + part * Tile::kSumsRows + i / kPanel;
      const int64_t n = first.column + group * kPanel + i % kPanel;
      if (m >= p.rows || n >= p.n) continue;
      const float4 four = *reinterpret_cast<const float4*>(own + i / kPanel * Tile::kSumsRow + i % kPanel);
      if (p.float32_out) {
        finish_four<float>(p, four, m, n);
      } else {
        finish_four<T>(p, four, m, n);
      }
    }
    sync_named(1 + group, kWarpgroup);
  }
}

template <typename Tile, typename T>
HEDDLE_DEVICE void multiply_tiles(const Product<T>& p, Ring<Tile>& ring, const T* stages, float* all_sums,
                                  int64_t tiles) {
  constexpr int kLineBytes = kDepth * sizeof(T);
  const int group = warp_index() / (kWarpgroup / kWarp);
  Turn<Tile::kStages> turn;
  HEDDLE_NO_UNROLL
  for (int64_t tile = block_x(); tile < tiles; tile += num_blocks_x()) {
    float sums[Tile::kRows / 8][4];
    int before = -1;  // the slot that is being multiplied
    HEDDLE_NO_UNROLL
    for (int64_t k = 0; k < p.k; k += kDepth) {
      wait(ring.full[turn.slot], turn.parity);
      const T* const staged = stages + turn.slot * Tile::kStage;
      const uint64_t weight = describe_lines(staged + group * kDepth * kPanel, 0, 8 * kLineBytes);
      const uint64_t x = describe_lines(staged + Tile::kStagedX, 0, 8 * kLineBytes);
      fence_products();
      HEDDLE_UNROLL
      for (int step = 0; step < kDepth / 16; ++step) {
        multiply_shared<T, Major::kRows, Major::kSteps>(sums, advance(weight, step * 16 * kLineBytes),
                                                        advance(x, step * 16 * static_cast<int>(sizeof(T))),
                                                        step > 0 || k > 0);
      }
      commit_products();
      wait_products<1>();
      if (before >= 0) arrive_together(ring.free[before]);
      before = turn.slot;
      turn.go_on();
    }
    wait_products<0>(sums);
    arrive_together(ring.free[before]);
    write_sums<Tile>(p, place_of_tile<Tile>(tile, p.rows, p.n), group, sums,
                     all_sums + group * Tile::kSumsRows * Tile::kSumsRow);
  }
}

#endif

/// out [rows, n], a block one tile after another.
template <typename T, typename Tile>
HEDDLE_KERNEL_BESIDE(Tile::kBlockThreads, Tile::kBeside)
multiply_hopper(HEDDLE_PARAMETER Product<T> p, HEDDLE_PARAMETER TensorMap weight, HEDDLE_PARAMETER TensorMap x,
                int64_t tiles) {
#if defined(HEDDLE_HOPPER)
  HEDDLE_SHARED(Ring<Tile>, ring);
  T* const stages = reinterpret_cast<T*>(swizzled_shared());
  if (thread_index() == 0) {
    for (int slot = 0; slot < Tile::kStages; ++slot) {
      start_barrier(ring.full[slot], 1);
      start_barrier(ring.free[slot], Tile::kThreads / kWarp);
    }
    fence_barriers();
  }
  sync_block();
  if (thread_index() < Tile::kThreads) {
    if constexpr (Tile::kColumns > kPanel) take_registers<232>();
    multiply_tiles(p, ring, stages, reinterpret_cast<float*>(stages + Tile::kStages * Tile::kStage), tiles);
  } else {
    if constexpr (Tile::kColumns > kPanel) leave_registers<40>();
    if (thread_index() == Tile::kThreads) copy_tiles(p, weight, x, ring, stages, tiles);
  }
#endif
}

/// x [rows, k] → [rows, padded_k], with zeros: a block a row. Boxes are copied from rows that begin at 16 bytes.
template <typename T>
HEDDLE_KERNEL(kPadThreads)
pad_rows(int64_t k, int64_t padded_k, const T* x, T* out) {
  for (int64_t i = thread_index(); i < padded_k; i += kPadThreads) {
    out[block_x() * padded_k + i] = i < k ? x[block_x() * k + i] : T{};
  }
}

template <typename Tile, typename T>
int64_t tiles_of(const Product<T>& p) {
  return ceil_div(p.rows, Tile::kRows) * ceil_div(p.n, Tile::kColumns);
}

template <typename Tile, typename T>
Status run_tile(const Product<T>& p, int64_t x_step, CudaContext& context) {
  TensorMap weight, x;
  Status status = make_map({p.weight, kPanel, p.k, ceil_div(p.n, kPanel), kPanel, p.k * kPanel, kDepth}, &weight);
  if (status != kSuccess) return status;
  status = make_map({p.x, p.k, p.rows, 1, x_step, p.rows * x_step, Tile::kRows}, &x);
  if (status != kSuccess) return status;
  const int64_t tiles = tiles_of<Tile>(p), blocks = std::min<int64_t>(tiles, Tile::kBeside * context.multiprocessors);
  return launch(multiply_hopper<T, Tile>, {blocks, Tile::kBlockThreads, 1, Tile::kSharedBytes}, context, p, weight, x,
                tiles);
}

template <typename T>
Status multiply(Product<T> p, CudaContext& context) {
  int64_t x_step = p.k;
  if (p.k % kChunk != 0 || !is_aligned(p.x)) {
    x_step = ceil_div(p.k, kChunk) * kChunk;
    auto* const padded =
        static_cast<T*>(context.allocate(context.owner, static_cast<size_t>(p.rows * x_step) * sizeof(T)));
    if (!padded) return kOutOfMemory;
    const Status status = launch(pad_rows<T>, {p.rows, kPadThreads}, context, p.k, x_step, p.x, padded);
    if (status != kSuccess) return status;
    p.x = padded;
  }
  using Large = WideTile<256, 2, 4>;
  if (p.rows <= 8) return run_tile<WideTile<8, 1, 11>>(p, x_step, context);
  if (p.rows <= 16) return run_tile<WideTile<16, 1, 10>>(p, x_step, context);
  if (p.rows <= 32) return run_tile<WideTile<32, 1, 8>>(p, x_step, context);
  if (p.rows <= 64) return run_tile<WideTile<64, 1, 6>>(p, x_step, context);
  if (tiles_of<Large>(p) < context.multiprocessors) return run_tile<WideTile<128, 2, 6>>(p, x_step, context);
  return run_tile<Large>(p, x_step, context);
}

}  // namespace

Status linear_hopper(const Product<Float16>& product, CudaContext& context) { return multiply(product, context); }
Status linear_hopper(const Product<BFloat16>& product, CudaContext& context) { return multiply(product, context); }

}  // namespace heddle::cuda
