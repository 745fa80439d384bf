#pragma once

#include <array>
#include <cstdint>

#include "core/host_device.h"
#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Which keys a query may attend to, as an expression of small pieces. It is data: a tensor of nodes and the tensors
/// that its pieces name, so that it is queued, recorded and freed as any operand is.
///
///   code  [M, 4] int32: kind, then three arguments; operands come before the node that combines them, the root last
///   data  what pieces name: a slot of this array is an argument
///
/// Pieces speak of positions: query i of sequence b stands at key position offset[b] + i.
enum class MaskKind : int32_t {
  kCausal,     // key ≤ position; if a: key ≤ i
  kWindow,     // position - a ≤ key ≤ position + b
  kStride,     // position - key is a multiple of a
  kBlock,      // position and key are in one block of a
  kBlockTail,  // key is among the last b of its block of a
  kRandom,     // key is among a distinct keys that a position draws from all, by seed b
  kPrefix,     // key < data[a][b]                       data[a]: [B] or [1] int32 (padding is the same piece)
  kSuffix,     // key ≥ keys - data[a][b]                data[a]: [B] or [1] int32; keys: those that the sequence has
  kDocuments,  // data[a][b, position] = data[a][b, key]  data[a]: [B, T] or [1, T] int32
  kGlobal,     // position or key is in data[a]           data[a]: [G] int32
  kDense,      // data[a][b, h, i, key]                   data[a]: [B or 1, H or 1, Tq or 1, Tk or 1] bool
  kBlocks,     // data[a][h, position / b, key / b]       data[a]: [H or 1, blocks, blocks] bool
  kTree,       // i and key - offset in data[a], or key < offset   data[a]: [N, N] bool
  kAnd,        // nodes a and b
  kOr,
  kNot,  // node a
};

struct MaskOperand {
  static constexpr size_t kMaxData = 4;
  static constexpr int64_t kMaxNodes = 64;
  static constexpr int32_t kMaxRandom = 64;  // keys that a position draws

  const Tensor* code = nullptr;  // null: every key
  std::array<const Tensor*, kMaxData> data{};
};

// ---- What kernels ask of a mask, on either device

/// What a mask says of a rectangle of queries × keys.
enum class Cover { kNone, kAll, kMixed };

/// The queries of one head of one sequence; of some heads, where a mask is asked by rectangles.
struct MaskRows {
  int64_t sequence;
  int64_t head;
  int64_t offset;  // position of query 0
  int64_t keys;    // that the sequence has
  int64_t heads = 1;
};

/// Of a block of b > 0 that a position is in, before 0 too; and where in it.
HEDDLE_HOST_DEVICE int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0); }
HEDDLE_HOST_DEVICE int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }

/// A mask as JavaScript gives it.
struct MaskExpression {
  const int32_t* code = nullptr;  // [nodes, 4], the caller's; null: every key
  int64_t nodes = 0;
  std::array<const Tensor*, MaskOperand::kMaxData> data{};

  /// The operand of an op over `batch` sequences and `heads` query heads, on the device of `beside`. Throws TypeError
  /// or RangeError for what does not fit, and for a code that kernels could not trust.
  MaskOperand operand(Runtime& runtime, const char* function, const Tensor* beside, int64_t batch, int64_t heads) const;
  /// Throws RangeError if a dense piece is not of so many queries and keys: where they are known before the op runs.
  void check_extent(const char* function, int64_t queries, int64_t keys) const;
};

/// Writes the mask out, for people and for tests.
///
///   offsets  [B] int32
///   out      [B, H, Tq, Tk] int32, 1: may attend
struct MaskToArray {
  static constexpr const char* kName = "mask";
  MaskOperand mask;
  const Tensor* offsets;
  Tensor* out = nullptr;

  std::array<const Tensor*, 6> reads() const {
    return {mask.code, mask.data[0], mask.data[1], mask.data[2], mask.data[3], offsets};
  }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* mask_to_array(Runtime& runtime, const MaskExpression& mask, const Tensor* offsets, const Shape& shape);

/// Counts tiles of 64 queries × 64 keys by what the mask says of them.
///
///   offsets  [B] int32
///   out      [B, H, ceil(Tq / 64), 4] int32: tiles with no pair, with all pairs, with some; pairs that are kept
struct CountMaskTiles {
  static constexpr const char* kName = "mask";
  MaskOperand mask;
  const Tensor* offsets;
  int64_t queries;
  int64_t keys;
  Tensor* out = nullptr;

  std::array<const Tensor*, 6> reads() const {
    return {mask.code, mask.data[0], mask.data[1], mask.data[2], mask.data[3], offsets};
  }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// `shape` is that of the mask written out.
Tensor* count_mask_tiles(Runtime& runtime, const MaskExpression& mask, const Tensor* offsets, const Shape& shape);

}  // namespace heddle
