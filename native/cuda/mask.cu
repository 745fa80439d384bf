#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/mask.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kTile = 64;

/// A block a row of `out` [B, H, Tq, Tk].
HEDDLE_KERNEL(kThreads)
write_mask(HEDDLE_PARAMETER Mask mask, int64_t heads, int64_t queries, int64_t keys, const int32_t* offsets,
           int32_t* out) {
  const int64_t row = block_x(), sequence = row / queries / heads;
  const MaskRows rows{sequence, row / queries % heads, offsets[sequence], keys};
  const int64_t position = rows.offset + row % queries;
  for (int64_t key = thread_index(); key < keys; key += kThreads) {
    out[row * keys + key] = keeps(mask, rows, position, key);
  }
}

/// A block some 64 queries of one head of one sequence.
HEDDLE_KERNEL(kThreads)
count_tiles(HEDDLE_PARAMETER Mask mask, int64_t heads, int64_t blocks, int64_t queries, int64_t keys,
            const int32_t* offsets, int32_t* out) {
  HEDDLE_SHARED(WarpSlots<int>, slots);
  const int64_t block = block_x(), sequence = block / blocks / heads;
  const MaskRows rows{sequence, block / blocks % heads, offsets[sequence], keys};
  const int64_t first = block % blocks * kTile, count = queries - first < kTile ? queries - first : kTile;
  int32_t none = 0, all = 0, mixed = 0, kept = 0;
  for (int64_t key = 0; key < keys; key += kTile) {
    const int64_t width = keys - key < kTile ? keys - key : kTile, most = count * width;
    const int64_t p = rows.offset + first;
    const Cover cover = cover_of(mask, rows, p, p + count, key, key + width);
    int pairs = cover == Cover::kAll ? static_cast<int>(most) : 0;
    if (cover == Cover::kMixed) {
      for (int64_t i = thread_index(); i < most; i += kThreads) {
        pairs += keeps(mask, rows, p + i / width, key + i % width);
      }
      pairs = reduce_block(pairs, slots, Sum{});
    }
    // A combination of pieces may be mixed by its answer and yet whole or empty.
    (pairs == 0 ? none : pairs == most ? all : mixed) += 1;
    kept += pairs;
  }
  if (thread_index() > 0) return;
  int32_t* const to = out + block * 4;
  to[0] = none;
  to[1] = all;
  to[2] = mixed;
  to[3] = kept;
}

}  // namespace

Status run(const MaskToArray& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  return launch(write_mask, {shape[0] * shape[1] * shape[2], kThreads}, context, mask_of(op.mask), shape[1], shape[2],
                shape[3], op.offsets->data<int32_t>(), op.out->data<int32_t>());
}

Status run(const CountMaskTiles& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  return launch(count_tiles, {shape[0] * shape[1] * shape[2], kThreads}, context, mask_of(op.mask), shape[1], shape[2],
                op.queries, op.keys, op.offsets->data<int32_t>(), op.out->data<int32_t>());
}

}  // namespace heddle::cuda
