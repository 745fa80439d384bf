#include <algorithm>

#include "cuda/quantized.h"
#include "cuda/swizzle.h"

namespace heddle::cuda {
namespace {

constexpr int kPanel = static_cast<int>(kPanelWidth);
constexpr int kWordRowBytes = kPanel * 4;
/// Outputs whose words a warp reads at once.
constexpr int kColumns = 32;

struct Product {
  int64_t rows, k;
  int filled;    // K filled up: a row of whole numbers
  int groups;    // of 32 inputs that a panel has
  bool aligned;  // rows of x may be read 16 bytes at a time
  const void* x;
  const float* scales;  // of the rows of whole numbers
  const uint8_t* weight;
  int64_t panel_bytes;
  Finish finish;
};

HEDDLE_DEVICE const uint8_t* panel_of(const Product& p, int64_t column) {
  return p.weight + column / kPanel * p.panel_bytes;
}
HEDDLE_DEVICE const float* scales_of(const Product& p, int64_t column) {
  return reinterpret_cast<const float*>(panel_of(p, column)) + column % kPanel;
}

// ---- Up to 16 rows: memory is the limit

constexpr int kFewRows = 16;
constexpr int kFewWarps = 8;
constexpr int kFewThreads = kFewWarps * kWarp;
using FewScales = float[kFewRows];
/// Ints between the rows of a warp's sums: four more than there are, so that 16 bytes of two rows are in other banks.
constexpr int kSumsRow = kColumns + 4;

/// What a warp has under way: stages of 64 inputs of 32 outputs, each lane's words where that lane will read them, and
/// the same inputs of x where they are whole numbers already.
template <typename Weight, typename X>
struct Ring {
  static constexpr bool kHasX = std::is_same_v<X, int8_t>;
  static constexpr int kStages = Weight::kStages;
  static constexpr int kLoads = kStepGroups * Weight::kLoads;
  static constexpr int kHeads = kLoads * kWarp * 16;
  static constexpr int kX = kHeads + (Weight::kHeadBytes > 0 ? kStepGroups * kColumns : 0);
  static constexpr int kStageBytes = kX + (kHasX ? kFewRows * kStepInputs : 0);
  static constexpr int kBytes = kFewWarps * kStages * kStageBytes;
  static_assert(kBytes >= kFewWarps * kFewRows * kSumsRow * 4);  // of sums, in the end
};

/// Starts copying a step's weights, and x, into a stage; zeros beyond the last group and row.
template <typename Weight, typename X>
HEDDLE_DEVICE void copy_step(const Product& p, const uint8_t* panel, int column, int step, uint8_t* stage) {
  using R = Ring<Weight, X>;
  const int lane = lane_index();
  HEDDLE_UNROLL
  for (int g = 0; g < kStepGroups; ++g) {
    const int group = step * kStepGroups + g;
    const bool wanted = group < p.groups;
    const uint8_t* const from = panel + int64_t{wanted ? group : 0} * Weight::kGroupBytes;
    HEDDLE_UNROLL
    for (int i = 0; i < Weight::kLoads; ++i) {
      const int row = lane % 4 * Weight::kLoads + i;
      copy_async<16>(stage + ((g * Weight::kLoads + i) * kWarp + lane) * 16,
                     from + Weight::kHeadBytes + row * kWordRowBytes + column * 4 + lane / 4 * 16, wanted);
    }
    if (Weight::kHeadBytes > 0 && lane < kColumns / 16) {
      copy_async<16>(stage + R::kHeads + g * kColumns + lane * 16, from + column + lane * 16, wanted);
    }
  }
  if constexpr (R::kHasX) {
    constexpr int kChunks = kStepInputs / 16;
    HEDDLE_UNROLL
    for (int i = lane; i < kFewRows * kChunks; i += kWarp) {
      const int row = i / kChunks, chunk = i % kChunks;
      const bool wanted = row < p.rows;
      const auto* const x = static_cast<const uint8_t*>(p.x) + int64_t{wanted ? row : 0} * p.filled;
      copy_async<16>(stage + R::kX + 2 * swizzled<kChunks>(row, chunk), x + step * kStepInputs + chunk * 16, wanted);
    }
  }
}

/// out [rows, n]: a block 32 outputs, its warps taking steps along k in turn. X: int8, or what the block makes whole
/// numbers of while the first weights are under way; then it keeps them.
template <typename Weight, typename X>
HEDDLE_KERNEL(kFewThreads)
multiply_few(HEDDLE_PARAMETER Product p) {
  using R = Ring<Weight, X>;
  HEDDLE_SHARED(WarpSlots<uint32_t>, slots);
  HEDDLE_SHARED(FewScales, x_scales);
  auto* const shared = reinterpret_cast<uint8_t*>(dynamic_shared());
  uint8_t* const ring = shared + warp_index() * R::kStages * R::kStageBytes;
  uint8_t* const kept = shared + R::kBytes;
  const int kept_row = p.filled + 16;  // the same inputs of four rows are in different banks
  const int64_t first = block_x() * kColumns;
  const int column = static_cast<int>(first % kPanel), rows = static_cast<int>(p.rows);
  const uint8_t* const panel = panel_of(p, first) + kScaleBytes;
  const int steps = p.filled / kStepInputs;

  HEDDLE_NO_UNROLL
  for (int s = 0; s < R::kStages - 1; ++s) {
    const int step = warp_index() + s * kFewWarps;
    if (step < steps) copy_step<Weight, X>(p, panel, column, step, ring + s * R::kStageBytes);
    commit_copies();
  }
  if constexpr (!R::kHasX) {
    HEDDLE_NO_UNROLL
    for (int row = 0; row < rows; ++row) {
      auto* const q = reinterpret_cast<uint32_t*>(kept + row * kept_row);
      const float scale = quantize_row(static_cast<const X*>(p.x) + row * p.k, p.k, p.aligned, q, slots);
      if (thread_index() == 0) x_scales[row] = scale;
    }
    sync_block();  // the rows are there
  }

  int32_t sums[4][4] = {};
  int turn = 0;
  HEDDLE_NO_UNROLL
  for (int step = warp_index(); step < steps; step += kFewWarps) {
    wait_copies<R::kStages - 2>();
    sync_warp();  // the step is there, and no lane reads the one before it any more
    const int free = turn == 0 ? R::kStages - 1 : turn - 1;
    const int ahead = step + (R::kStages - 1) * kFewWarps;
    if (ahead < steps) copy_step<Weight, X>(p, panel, column, ahead, ring + free * R::kStageBytes);
    commit_copies();
    const uint8_t* const stage = ring + turn * R::kStageBytes;
    turn = turn == R::kStages - 1 ? 0 : turn + 1;
    HEDDLE_UNROLL
    for (int g = 0; g < kStepGroups; ++g) {
      const int row = lane_index() % 16, chunk = g * 2 + lane_index() / 16;
      uint32_t a[4];
      if constexpr (R::kHasX) {
        ldmatrix(a, stage + R::kX + 2 * swizzled<kStepInputs / 16>(row, chunk));
      } else {  // sums of rows beyond the last are nobody's
        ldmatrix(a, kept + (row < rows ? row : 0) * kept_row + step * kStepInputs + chunk * 16);
      }
      Words words[Weight::kLoads];
      HEDDLE_UNROLL
      for (int i = 0; i < Weight::kLoads; ++i) {
        words[i] = read_words(stage + ((g * Weight::kLoads + i) * kWarp + lane_index()) * 16);
      }
      Weight::add(sums, a, words, stage + R::kHeads + g * kColumns);
    }
  }

  wait_copies<0>();
  sync_block();  // all have read their stages
  auto* const all = reinterpret_cast<int32_t*>(shared);
  write_sums(sums, all + warp_index() * kFewRows * kSumsRow, kSumsRow);
  sync_block();  // all warps' sums are there
  for (int i = thread_index(); i < rows * kColumns / 4; i += kFewThreads) {
    const int row = i / (kColumns / 4), at = i % (kColumns / 4) * 4;
    if (first + at >= p.finish.n) continue;
    Words total{};
    HEDDLE_UNROLL
    for (int w = 0; w < kFewWarps; ++w) {
      const Words part = read_words(all + (w * kFewRows + row) * kSumsRow + at);
      HEDDLE_UNROLL
      for (int j = 0; j < 4; ++j) total.at[j] += Weight::total(part.at[j]);
    }
    const float x_scale = R::kHasX ? p.scales[row] : x_scales[row];
    finish_four(p.finish, total, x_scale, scales_of(p, first + at), row, first + at);
  }
}

// ---- More rows

/// A tile is kRows of x by kColumns of the weight, 64 inputs at a time, kStages of them under way. A warp has MTiles by
/// 4 Blocks products of 16 × 8.
template <int MTiles, int Blocks, int WarpsM, int WarpsN, int Stages>
struct Tile {
  static constexpr int kMTiles = MTiles, kBlocks = Blocks;
  static constexpr int kWarpsN = WarpsN;
  static constexpr int kRows = 16 * MTiles * WarpsM;
  static constexpr int kColumns = cuda::kColumns * Blocks * WarpsN;
  static constexpr int kThreads = kWarp * WarpsM * WarpsN;
  static constexpr int kStages = Stages;
  /// The sums go through shared memory in the end; four more a row, as above.
  static constexpr int kSumsRow = kColumns + 4;
};
using MiddleTile = Tile<2, 1, 2, 2, 6>;
using LargeTile = Tile<4, 2, 2, 2, 4>;

/// Of a stage, in bytes: x [kRows][64], words [8 or 16][kColumns][4], multipliers [2][kColumns].
template <typename Tile, typename Weight>
struct Stage {
  static constexpr int kWordRows = 4 * Weight::kLoads;  // of a group
  static constexpr int kWords = Tile::kRows * kStepInputs;
  static constexpr int kHeads = kWords + kStepGroups * kWordRows * Tile::kColumns * 4;
  static constexpr int kBytes = kHeads + (Weight::kHeadBytes > 0 ? kStepGroups * Tile::kColumns : 0);
  static constexpr size_t kSharedBytes =
      std::max(size_t{Tile::kStages} * kBytes, size_t{4} * Tile::kRows * Tile::kSumsRow);

  /// Where 16 bytes of words lie. What eight lanes read at once, two chunks of four rows that lie kLoads apart, is in
  /// different banks.
  HEDDLE_DEVICE static int place(int row, int chunk) {
    return kWords + (row * (Tile::kColumns / 4) + (chunk ^ row / Weight::kLoads % 4 * 2)) * 16;
  }
};

template <typename Tile, typename Weight>
HEDDLE_DEVICE void copy_slice(const Product& p, uint8_t* stage, const Place& first, int step) {
  using S = Stage<Tile, Weight>;
  constexpr int kXChunks = kStepInputs / 16, kChunks = Tile::kColumns / 4;
  HEDDLE_UNROLL
  for (int i = thread_index(); i < Tile::kRows * kXChunks; i += Tile::kThreads) {
    const int row = i / kXChunks, chunk = i % kXChunks;
    const bool wanted = first.row + row < p.rows;
    const auto* const x = static_cast<const uint8_t*>(p.x) + (wanted ? first.row + row : 0) * p.filled;
    copy_async<16>(stage + 2 * swizzled<kXChunks>(row, chunk), x + step * kStepInputs + chunk * 16, wanted);
  }
  HEDDLE_UNROLL
  for (int i = thread_index(); i < kStepGroups * S::kWordRows * kChunks; i += Tile::kThreads) {
    const int row = i / kChunks, chunk = i % kChunks, group = step * kStepGroups + row / S::kWordRows;
    const int64_t column = first.column + chunk * 4;
    const bool wanted = group < p.groups && column < p.finish.n;
    const uint8_t* const from = panel_of(p, wanted ? column : 0) + kScaleBytes + Weight::kHeadBytes +
                                int64_t{wanted ? group : 0} * Weight::kGroupBytes + row % S::kWordRows * kWordRowBytes +
                                column % kPanel * 4;
    copy_async<16>(stage + S::place(row, chunk), from, wanted);
  }
  if constexpr (Weight::kHeadBytes > 0) {
    for (int i = thread_index(); i < kStepGroups * Tile::kColumns / 16; i += Tile::kThreads) {
      const int group = step * kStepGroups + i / (Tile::kColumns / 16);
      const int64_t column = first.column + i % (Tile::kColumns / 16) * 16;
      const bool wanted = group < p.groups && column < p.finish.n;
      const uint8_t* const from = panel_of(p, wanted ? column : 0) + kScaleBytes +
                                  int64_t{wanted ? group : 0} * Weight::kGroupBytes + column % kPanel;
      copy_async<16>(stage + S::kHeads + i * 16, from, wanted);
    }
  }
}

/// out [rows, n]: a block a tile. x is whole numbers.
template <typename Weight, typename Tile>
HEDDLE_KERNEL(Tile::kThreads)
multiply_bytes(HEDDLE_PARAMETER Product p) {
  using S = Stage<Tile, Weight>;
  constexpr int kMTiles = Tile::kMTiles, kBlocks = Tile::kBlocks, kStages = Tile::kStages;
  auto* const stages = reinterpret_cast<uint8_t*>(dynamic_shared());
  const Place first = place_of_tile<Tile>(block_x(), p.rows, p.finish.n);
  const int row = warp_index() / Tile::kWarpsN * 16 * kMTiles;
  const int column = warp_index() % Tile::kWarpsN * kColumns * kBlocks;
  const int steps = p.filled / kStepInputs;
  int32_t sums[kMTiles][kBlocks][4][4] = {};

  HEDDLE_NO_UNROLL
  for (int s = 0; s < kStages - 1; ++s) {
    if (s < steps) copy_slice<Tile, Weight>(p, stages + s * S::kBytes, first, s);
    commit_copies();
  }
  int turn = 0;
  HEDDLE_NO_UNROLL
  for (int step = 0; step < steps; ++step) {
    wait_copies<kStages - 2>();
    sync_block();  // the slice is there, and nobody reads the one before it any more
    const int free = turn == 0 ? kStages - 1 : turn - 1;
    const int ahead = step + kStages - 1;
    if (ahead < steps) copy_slice<Tile, Weight>(p, stages + free * S::kBytes, first, ahead);
    commit_copies();
    const uint8_t* const stage = stages + turn * S::kBytes;
    turn = turn == kStages - 1 ? 0 : turn + 1;
    HEDDLE_UNROLL
    for (int g = 0; g < kStepGroups; ++g) {
      uint32_t a[kMTiles][4];
      HEDDLE_UNROLL
      for (int i = 0; i < kMTiles; ++i) {
        const int at = row + i * 16 + lane_index() % 16, chunk = g * 2 + lane_index() / 16;
        ldmatrix(a[i], stage + 2 * swizzled<kStepInputs / 16>(at, chunk));
      }
      HEDDLE_UNROLL
      for (int block = 0; block < kBlocks; ++block) {
        const int at = column + block * kColumns;
        Words words[Weight::kLoads];
        HEDDLE_UNROLL
        for (int i = 0; i < Weight::kLoads; ++i) {
          const int word_row = g * S::kWordRows + lane_index() % 4 * Weight::kLoads + i;
          words[i] = read_words(stage + S::place(word_row, at / 4 + lane_index() / 4));
        }
        uint32_t multipliers = 0;
        if constexpr (Weight::kHeadBytes > 0) {
          const uint8_t* const of_lane = stage + S::kHeads + g * Tile::kColumns + at + lane_index() / 4 * 4;
          multipliers = *reinterpret_cast<const uint32_t*>(of_lane);
        }
        uint32_t b[4][2];
        Weight::fragments(words, multipliers, b);
        HEDDLE_UNROLL
        for (int i = 0; i < kMTiles; ++i) {
          HEDDLE_UNROLL
          for (int j = 0; j < 4; ++j) mma_bytes(sums[i][block][j], a[i], b[j][0], b[j][1]);
        }
      }
    }
  }

  wait_copies<0>();
  sync_block();  // all have read the last slices
  auto* const all = reinterpret_cast<int32_t*>(stages);
  HEDDLE_UNROLL
  for (int i = 0; i < kMTiles; ++i) {
    HEDDLE_UNROLL
    for (int block = 0; block < kBlocks; ++block) {
      write_sums(sums[i][block], all + (row + i * 16) * Tile::kSumsRow + column + block * kColumns, Tile::kSumsRow);
    }
  }
  sync_block();  // all sums are there
  HEDDLE_NO_UNROLL
  for (int i = thread_index() * 4; i < Tile::kRows * Tile::kColumns; i += Tile::kThreads * 4) {
    const int64_t m = first.row + i / Tile::kColumns, n = first.column + i % Tile::kColumns;
    if (m >= p.rows || n >= p.finish.n) continue;
    const Words sum = read_words(all + i / Tile::kColumns * Tile::kSumsRow + i % Tile::kColumns);
    finish_four(p.finish, sum, p.scales[m], scales_of(p, n), m, n);
  }
}

// ---- Rows of x

constexpr int kRowThreads = 256;

/// A block a row: q [rows, filled], scales [rows].
template <typename T>
HEDDLE_KERNEL(kRowThreads)
quantize_rows(int64_t k, int filled, bool aligned, const T* x, uint8_t* q, float* scales) {
  HEDDLE_SHARED(WarpSlots<uint32_t>, slots);
  const int64_t row = block_x();
  const float scale = quantize_row(x + row * k, k, aligned, reinterpret_cast<uint32_t*>(q + row * filled), slots);
  if (thread_index() == 0) scales[row] = scale;
}

/// Makes p.x whole numbers, in scratch.
template <typename T>
Status quantize(Product& p, CudaContext& context) {
  const int64_t scales_bytes = ceil_div(p.rows * 4, 16) * 16;
  auto* const scratch =
      static_cast<uint8_t*>(context.allocate(context.owner, static_cast<size_t>(scales_bytes + p.rows * p.filled)));
  if (!scratch) return kOutOfMemory;
  auto* const scales = reinterpret_cast<float*>(scratch);
  uint8_t* const q = scratch + scales_bytes;
  const Status status = launch(quantize_rows<T>, {p.rows, kRowThreads}, context, p.k, p.filled, p.aligned,
                               static_cast<const T*>(p.x), q, scales);
  p.x = q;
  p.scales = scales;
  return status;
}

/// Rows that each block makes whole numbers itself, and the memory that it keeps them in at most: more are worth a
/// launch. With the ring, that is below the 99 KiB that every device has.
constexpr int64_t kRowsToKeep = 4, kBytesToKeep = int64_t{32} << 10;

template <typename Weight, typename X>
Status run_few(const Product& p, CudaContext& context, int64_t kept_bytes) {
  const size_t shared_bytes = static_cast<size_t>(Ring<Weight, X>::kBytes + kept_bytes);
  return launch(multiply_few<Weight, X>, {ceil_div(p.finish.n, kColumns), kFewThreads, 1, shared_bytes}, context, p);
}

template <typename Weight, typename Tile>
Status run_tile(const Product& p, CudaContext& context) {
  const int64_t tiles = ceil_div(p.rows, Tile::kRows) * ceil_div(p.finish.n, Tile::kColumns);
  const size_t shared_bytes = Stage<Tile, Weight>::kSharedBytes;
  return launch(multiply_bytes<Weight, Tile>, {tiles, Tile::kThreads, 1, shared_bytes}, context, p);
}

template <typename Weight, typename T>
Status run_weight(Product& p, CudaContext& context) {
  const bool few = p.rows <= kFewRows && p.k <= Weight::kMostOfFew;
  const int64_t kept_bytes = p.rows * (p.filled + 16);
  if (few && p.rows <= kRowsToKeep && kept_bytes <= kBytesToKeep) return run_few<Weight, T>(p, context, kept_bytes);
  const Status status = quantize<T>(p, context);
  if (status != kSuccess) return status;
  if (few) return run_few<Weight, int8_t>(p, context, 0);
  const int64_t large = ceil_div(p.rows, LargeTile::kRows) * ceil_div(p.finish.n, LargeTile::kColumns);
  return large >= context.multiprocessors ? run_tile<Weight, LargeTile>(p, context)
                                          : run_tile<Weight, MiddleTile>(p, context);
}

}  // namespace

Status linear_quantized(const Linear& op, CudaContext& context) {
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  const DType weight_dtype = op.weight->dtype;
  const auto first_byte = [](const Tensor* x) -> char* {
    return x ? static_cast<char*>(x->storage->data) + x->offset * static_cast<int64_t>(size_of(x->dtype)) : nullptr;
  };
  const char* const x = first_byte(op.x);
  const void* const residual = first_byte(op.residual);
  void* const out = first_byte(op.out);
  const Finish finish{n,
                      op.x->dtype,
                      op.out->dtype,
                      n % 4 == 0 && is_aligned(out) && is_aligned(residual),
                      op.activation,
                      first_byte(op.bias),
                      residual,
                      out};
  Product p{op.out->numel() / n,
            k,
            static_cast<int>(ceil_div(k, kStepInputs) * kStepInputs),
            static_cast<int>(padded_inputs(weight_dtype, k) / kGroup),
            k * static_cast<int64_t>(size_of(op.x->dtype)) % 16 == 0 && is_aligned(x),
            x,
            nullptr,
            op.weight->data<uint8_t>(),
            static_cast<int64_t>(panel_bytes(weight_dtype, k)),
            finish};
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    return weight_dtype == DType::kInt8 ? run_weight<Int8Weight, T>(p, context) : run_weight<Int4Weight, T>(p, context);
  });
}

}  // namespace heddle::cuda
