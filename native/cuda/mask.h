#pragma once

#include <algorithm>

#include "cuda/reduce.h"
#include "ops/mask.h"
#include "ops/random_keys.h"

namespace heddle::cuda {

/// A mask as kernels see it.
struct Mask {
  struct Data {
    const void* values;
    int64_t shape[4];
  };
  const int32_t* code;  // null: every key
  int nodes;
  Data data[MaskOperand::kMaxData];
};

inline Mask mask_of(const MaskOperand& operand) {
  Mask mask{};
  if (!operand.code) return mask;
  mask.code = operand.code->data<int32_t>();
  mask.nodes = static_cast<int>(operand.code->shape[0]);
  for (size_t i = 0; i < MaskOperand::kMaxData; ++i) {
    const Tensor* const tensor = operand.data[i];
    if (!tensor) continue;
    const bool bytes = tensor->dtype == DType::kBool;
    mask.data[i].values = bytes ? static_cast<const void*>(tensor->data<uint8_t>()) : tensor->data<int32_t>();
    std::copy(tensor->shape.begin(), tensor->shape.end(), mask.data[i].shape);
  }
  return mask;
}

/// The row of a tensor [B or 1, ...] that a sequence has, as int32.
HEDDLE_DEVICE const int32_t* row_of(const Mask::Data& data, int64_t sequence, int64_t width) {
  return static_cast<const int32_t*>(data.values) + (data.shape[0] == 1 ? 0 : sequence * width);
}

/// Document at a position; -1 outside.
HEDDLE_DEVICE int32_t document_at(const Mask::Data& ids, int64_t sequence, int64_t position) {
  const int64_t width = ids.shape[1];
  return position < 0 || position >= width ? -1 : row_of(ids, sequence, width)[position];
}

HEDDLE_DEVICE bool dense_at(const Mask::Data& data, const MaskRows& rows, int64_t query, int64_t key) {
  const int64_t* const shape = data.shape;
  const int64_t i = shape[2] == 1 ? 0 : query, j = shape[3] == 1 ? 0 : key;
  if (i < 0 || i >= shape[2] || j < 0 || j >= shape[3]) return false;
  const int64_t b = shape[0] == 1 ? 0 : rows.sequence, h = shape[1] == 1 ? 0 : rows.head;
  return static_cast<const uint8_t*>(data.values)[((b * shape[1] + h) * shape[2] + i) * shape[3] + j] != 0;
}

/// Whether a block of positions sees a block of keys.
HEDDLE_DEVICE bool block_kept(const Mask::Data& layout, int64_t head, int64_t p_block, int64_t k_block) {
  const int64_t* const shape = layout.shape;
  if (p_block < 0 || p_block >= shape[1] || k_block < 0 || k_block >= shape[2]) return false;
  if (shape[0] == 1) head = 0;
  return static_cast<const uint8_t*>(layout.values)[(head * shape[1] + p_block) * shape[2] + k_block] != 0;
}

/// Query i against a key counted from the tree's first.
HEDDLE_DEVICE bool in_tree(const Mask::Data& ancestors, int64_t i, int64_t key) {
  const int64_t count = ancestors.shape[0];
  if (key < 0 || i < 0 || i >= count || key >= count) return key < 0;
  return static_cast<const uint8_t*>(ancestors.values)[i * count + key] != 0;
}

HEDDLE_DEVICE bool is_drawn(uint32_t seed, int64_t position, int count, int64_t keys, int64_t key) {
  int32_t drawn[MaskOperand::kMaxRandom];
  const int found = draw_keys(seed, position, count, keys, drawn);
  for (int i = 0; i < found; ++i) {
    if (drawn[i] == key) return true;
  }
  return false;
}

HEDDLE_DEVICE bool is_global(const Mask::Data& indices, int64_t position, int64_t key) {
  const auto* const index = static_cast<const int32_t*>(indices.values);
  for (int64_t g = 0; g < indices.shape[0]; ++g) {
    if (index[g] == position || index[g] == key) return true;
  }
  return false;
}

/// Whether the query at position p may attend to a key. The answers of the nodes are bits of one register: a mask has
/// at most 64, and operands come first.
HEDDLE_DEVICE bool keeps_inline(const Mask& mask, const MaskRows& rows, int64_t p, int64_t key) {
  static_assert(MaskOperand::kMaxNodes == 64);
  uint64_t answers = 0;
  bool yes = true;
  for (int i = 0; i < mask.nodes; ++i) {
    const int32_t a = mask.code[4 * i + 1], b = mask.code[4 * i + 2];
    switch (static_cast<MaskKind>(mask.code[4 * i])) {
      case MaskKind::kCausal:
        yes = key <= (a != 0 ? p - rows.offset : p);
        break;
      case MaskKind::kWindow:
        yes = key >= p - a && key <= p + b;
        break;
      case MaskKind::kStride:
        yes = (p - key) % a == 0;
        break;
      case MaskKind::kRandom:
        yes = is_drawn(static_cast<uint32_t>(b), p, a, rows.keys, key);
        break;
      case MaskKind::kBlock:
        yes = floor_div(p, a) == floor_div(key, a);
        break;
      case MaskKind::kBlockTail:
        yes = floor_mod(key, a) >= a - b;
        break;
      case MaskKind::kSuffix:
        yes = key >= rows.keys - *row_of(mask.data[a], rows.sequence, 1);
        break;
      case MaskKind::kBlocks:
        yes = block_kept(mask.data[a], rows.head, floor_div(p, b), floor_div(key, b));
        break;
      case MaskKind::kTree:
        yes = in_tree(mask.data[a], p - rows.offset, key - rows.offset);
        break;
      case MaskKind::kPrefix:
        yes = key < *row_of(mask.data[a], rows.sequence, 1);
        break;
      case MaskKind::kDocuments: {
        const int32_t own = document_at(mask.data[a], rows.sequence, p);
        yes = own >= 0 && document_at(mask.data[a], rows.sequence, key) == own;
        break;
      }
      case MaskKind::kGlobal:
        yes = is_global(mask.data[a], p, key);
        break;
      case MaskKind::kDense:
        yes = dense_at(mask.data[a], rows, p - rows.offset, key);
        break;
      case MaskKind::kAnd:
        yes = (answers >> a & answers >> b & 1) != 0;
        break;
      case MaskKind::kOr:
        yes = ((answers >> a | answers >> b) & 1) != 0;
        break;
      case MaskKind::kNot:
        yes = (answers >> a & 1) == 0;
        break;
    }
    answers |= static_cast<uint64_t>(yes) << i;
  }
  return yes;
}

HEDDLE_DEVICE_CALL bool keeps(const Mask& mask, const MaskRows& rows, int64_t p, int64_t key) {
  return keeps_inline(mask, rows, p, key);
}

struct Range {
  int32_t low, high;
};

/// Lowest and highest document of positions [begin, end), found by a warp together.
HEDDLE_DEVICE Range documents_of(const Mask::Data& ids, int64_t sequence, int64_t begin, int64_t end) {
  Range range{INT32_MAX, INT32_MIN};
  for (int64_t i = begin + lane_index(); i < end; i += kWarp) {
    const int32_t id = document_at(ids, sequence, i);
    if (id < range.low) range.low = id;
    if (id > range.high) range.high = id;
  }
  range.low = reduce_warp(range.low, [](int32_t a, int32_t b) { return a < b ? a : b; });
  range.high = reduce_warp(range.high, [](int32_t a, int32_t b) { return a > b ? a : b; });
  return range;
}

HEDDLE_DEVICE int64_t count_global(const Mask::Data& indices, int64_t begin, int64_t end) {
  int count = 0;
  for (int64_t g = lane_index(); g < indices.shape[0]; g += kWarp) {
    const int32_t index = static_cast<const int32_t*>(indices.values)[g];
    count += index >= begin && index < end;
  }
  return reduce_warp(count, Sum{});
}

/// What the mask says of positions [p0, p1) × keys [k0, k1), neither empty: three-valued logic over its pieces. A
/// warp answers together.
HEDDLE_DEVICE Cover cover_inline(const Mask& mask, const MaskRows& rows, int64_t p0, int64_t p1, int64_t k0,
                                 int64_t k1) {
  uint64_t all_bits = 0, none_bits = 0;
  bool all = true, none = false;
  for (int i = 0; i < mask.nodes; ++i) {
    const int32_t a = mask.code[4 * i + 1], b = mask.code[4 * i + 2];
    switch (static_cast<MaskKind>(mask.code[4 * i])) {
      case MaskKind::kCausal: {
        const int64_t shift = a != 0 ? rows.offset : 0;
        all = k1 - 1 <= p0 - shift;
        none = k0 > p1 - 1 - shift;
        break;
      }
      case MaskKind::kWindow:
        all = k0 >= p1 - 1 - a && k1 - 1 <= p0 + b;
        none = k1 - 1 < p0 - a || k0 > p1 - 1 + b;
        break;
      case MaskKind::kStride:
        all = a == 1;
        none = false;
        break;
      case MaskKind::kRandom:
        all = a >= rows.keys;
        none = false;
        break;
      case MaskKind::kBlock: {
        const int64_t p_low = floor_div(p0, a), p_high = floor_div(p1 - 1, a);
        const int64_t k_low = floor_div(k0, a), k_high = floor_div(k1 - 1, a);
        all = p_low == p_high && k_low == k_high && p_low == k_low;
        none = p_high < k_low || k_high < p_low;
        break;
      }
      case MaskKind::kBlockTail: {
        const int64_t head = a > b ? a - b : 0, first = floor_mod(k0, a), last = first + k1 - k0;
        all = first >= head && last <= a;
        none = last <= head;
        break;
      }
      case MaskKind::kSuffix: {
        const int64_t begin = rows.keys - *row_of(mask.data[a], rows.sequence, 1);
        all = k0 >= begin;
        none = k1 <= begin;
        break;
      }
      case MaskKind::kBlocks: {
        all = true;
        none = true;
        const int64_t heads = mask.data[a].shape[0] == 1 ? 1 : rows.heads;
        for (int64_t head = rows.head; head < rows.head + heads; ++head) {
          for (int64_t i = floor_div(p0, b); i <= floor_div(p1 - 1, b); ++i) {
            for (int64_t j = floor_div(k0, b); j <= floor_div(k1 - 1, b); ++j) {
              const bool kept = block_kept(mask.data[a], head, i, j);
              all = all && kept;
              none = none && !kept;
            }
          }
        }
        break;
      }
      case MaskKind::kTree:
        all = k1 <= rows.offset;
        none = k0 >= rows.offset && k0 - rows.offset >= mask.data[a].shape[0];
        break;
      case MaskKind::kPrefix: {
        const int64_t length = *row_of(mask.data[a], rows.sequence, 1);
        all = k1 <= length;
        none = k0 >= length;
        break;
      }
      case MaskKind::kDocuments: {
        const Range q = documents_of(mask.data[a], rows.sequence, p0, p1);
        const Range k = documents_of(mask.data[a], rows.sequence, k0, k1);
        all = q.low == q.high && k.low == k.high && q.low == k.low && q.low >= 0;
        none = q.high < k.low || k.high < q.low || q.high < 0 || k.high < 0;
        break;
      }
      case MaskKind::kGlobal: {
        const int64_t p = count_global(mask.data[a], p0, p1), k = count_global(mask.data[a], k0, k1);
        all = p == p1 - p0 || k == k1 - k0;
        none = p == 0 && k == 0;
        break;
      }
      case MaskKind::kDense:
        all = none = false;  // asked pair by pair
        break;
      case MaskKind::kAnd:
        all = (all_bits >> a & all_bits >> b & 1) != 0;
        none = ((none_bits >> a | none_bits >> b) & 1) != 0;
        break;
      case MaskKind::kOr:
        all = ((all_bits >> a | all_bits >> b) & 1) != 0;
        none = (none_bits >> a & none_bits >> b & 1) != 0;
        break;
      case MaskKind::kNot:
        all = (none_bits >> a & 1) != 0;
        none = (all_bits >> a & 1) != 0;
        break;
    }
    all_bits |= static_cast<uint64_t>(all) << i;
    none_bits |= static_cast<uint64_t>(none) << i;
  }
  return all ? Cover::kAll : none ? Cover::kNone : Cover::kMixed;
}

HEDDLE_DEVICE_CALL Cover cover_of(const Mask& mask, const MaskRows& rows, int64_t p0, int64_t p1, int64_t k0,
                                  int64_t k1) {
  return cover_inline(mask, rows, p0, p1, k0, k1);
}

}  // namespace heddle::cuda
