#include "cpu/mask.h"

#include <bitset>

#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const MaskToArray& op, KernelContext& context) {
  const MaskReader mask(op.mask);
  const Shape& shape = op.out->shape;
  const int64_t heads = shape[1], queries = shape[2], keys = shape[3];
  const int32_t* offsets = op.offsets->data<int32_t>();
  int32_t* out = op.out->data<int32_t>();
  context.parallel_for(shape[0] * heads * queries, static_cast<double>(keys), [&](int64_t row) {
    const int64_t sequence = row / queries / heads, query = row % queries;
    const MaskRows rows{sequence, row / queries % heads, offsets[sequence], keys};
    for (int64_t key = 0; key < keys; key += 64) {
      const uint64_t word = mask.word(rows, rows.offset + query, key);
      for (int64_t j = 0; j < std::min<int64_t>(64, keys - key); ++j) out[row * keys + key + j] = word >> j & 1;
    }
  });
}

void run(const CountMaskTiles& op, KernelContext& context) {
  const MaskReader mask(op.mask);
  const Shape& shape = op.out->shape;
  const int64_t heads = shape[1], blocks = shape[2];
  const int32_t* offsets = op.offsets->data<int32_t>();
  int32_t* out = op.out->data<int32_t>();
  context.parallel_for(shape[0] * heads * blocks, static_cast<double>(op.keys) * 4, [&](int64_t block) {
    const int64_t sequence = block / blocks / heads;
    const MaskRows rows{sequence, block / blocks % heads, offsets[sequence], op.keys};
    const int64_t first = block % blocks * 64, last = std::min(op.queries, first + 64);
    int32_t none = 0, all = 0, mixed = 0, kept = 0;
    for (int64_t key = 0; key < op.keys; key += 64) {
      const int64_t end = std::min(op.keys, key + 64);
      const uint64_t inside = end - key == 64 ? ~uint64_t{0} : (uint64_t{1} << (end - key)) - 1;
      const Cover cover = mask.cover(rows, rows.offset + first, rows.offset + last, key, end);
      int64_t pairs = cover == Cover::kAll ? (last - first) * (end - key) : 0;
      for (int64_t q = first; cover == Cover::kMixed && q < last; ++q) {
        pairs += std::bitset<64>(mask.word(rows, rows.offset + q, key) & inside).count();
      }
      // A combination of pieces may be mixed by its answer and yet whole or empty.
      (pairs == 0 ? none : pairs == (last - first) * (end - key) ? all : mixed) += 1;
      kept += static_cast<int32_t>(pairs);
    }
    const int32_t counts[] = {none, all, mixed, kept};
    std::copy_n(counts, 4, out + block * 4);
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
