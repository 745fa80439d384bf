#pragma once

#include <algorithm>

#include "ops/mask.h"
#include "ops/random_keys.h"

namespace heddle::cpu::HEDDLE_ISA {

/// A mask on the stream, asked by rectangles, and where those are mixed by rows of 64 keys.
class MaskReader {
 public:
  explicit MaskReader(const MaskOperand& mask)
      : mask_(mask),
        code_(mask.code ? mask.code->data<int32_t>() : nullptr),
        root_(mask.code ? static_cast<int>(mask.code->shape[0]) - 1 : 0) {}

  bool empty() const { return code_ == nullptr; }

  /// Positions [p0, p1) × keys [k0, k1), neither empty.
  Cover cover(const MaskRows& rows, int64_t p0, int64_t p1, int64_t k0, int64_t k1) const {
    return code_ ? cover(root_, rows, p0, p1, k0, k1) : Cover::kAll;
  }

  /// Bit j: whether the query at position p may attend to key k0 + j.
  uint64_t word(const MaskRows& rows, int64_t p, int64_t k0) const {
    return code_ ? word(root_, rows, p, k0) : ~uint64_t{0};
  }

 private:
  struct Node {
    MaskKind kind;
    int32_t a, b;
  };
  Node node(int index) const {
    const int32_t* row = code_ + index * 4;
    return {static_cast<MaskKind>(row[0]), row[1], row[2]};
  }

  /// Bits [begin, end), cut to the word.
  static uint64_t bits(int64_t begin, int64_t end) {
    begin = std::max<int64_t>(begin, 0);
    end = std::min<int64_t>(end, 64);
    if (begin >= end) return 0;
    const uint64_t ones = end - begin == 64 ? ~uint64_t{0} : (uint64_t{1} << (end - begin)) - 1;
    return ones << begin;
  }

  static Cover within(int64_t low, int64_t high, int64_t begin, int64_t end) {  // [begin, end) against [low, high)
    if (end <= low || begin >= high) return Cover::kNone;
    return begin >= low && end <= high ? Cover::kAll : Cover::kMixed;
  }

  /// The row of a tensor [B or 1, ...] that a sequence has.
  static int64_t row_of(const Tensor* data, int64_t sequence) { return data->shape[0] == 1 ? 0 : sequence; }

  int64_t length(const Node& n, const MaskRows& rows) const {
    const Tensor* lengths = mask_.data[n.a];
    return lengths->data<int32_t>()[row_of(lengths, rows.sequence)];
  }

  /// Whether a block of positions sees a block of keys.
  bool block_kept(const Node& n, int64_t head, int64_t p_block, int64_t k_block) const {
    const Tensor* layout = mask_.data[n.a];
    const Shape& shape = layout->shape;
    if (p_block < 0 || p_block >= shape[1] || k_block < 0 || k_block >= shape[2]) return false;
    if (shape[0] == 1) head = 0;
    return layout->data<uint8_t>()[(head * shape[1] + p_block) * shape[2] + k_block] != 0;
  }

  Cover cover_blocks(const Node& n, const MaskRows& rows, int64_t p0, int64_t p1, int64_t k0, int64_t k1) const {
    bool some = false, every = true;
    const int64_t heads = mask_.data[n.a]->shape[0] == 1 ? 1 : rows.heads;
    for (int64_t head = rows.head; head < rows.head + heads; ++head) {
      for (int64_t i = floor_div(p0, n.b); i <= floor_div(p1 - 1, n.b); ++i) {
        for (int64_t j = floor_div(k0, n.b); j <= floor_div(k1 - 1, n.b); ++j) {
          const bool kept = block_kept(n, head, i, j);
          some |= kept;
          every &= kept;
          if (some && !every) return Cover::kMixed;
        }
      }
    }
    return some ? Cover::kAll : Cover::kNone;
  }

  bool in_tree(const Tensor* ancestors, int64_t i, int64_t key) const {
    const int64_t count = ancestors->shape[0];
    return key < 0 || (i >= 0 && i < count && key < count && ancestors->data<uint8_t>()[i * count + key] != 0);
  }

  /// Document at a position; -1 outside.
  int32_t document(const Tensor* ids, int64_t sequence, int64_t position) const {
    const int64_t width = ids->shape[1];
    if (position < 0 || position >= width) return -1;
    return ids->data<int32_t>()[row_of(ids, sequence) * width + position];
  }

  struct Documents {
    int32_t low, high;
  };
  Documents documents(const Tensor* ids, int64_t sequence, int64_t begin, int64_t end) const {
    Documents range{INT32_MAX, INT32_MIN};
    for (int64_t i = begin; i < end; ++i) {
      const int32_t id = document(ids, sequence, i);
      range = {std::min(range.low, id), std::max(range.high, id)};
    }
    return range;
  }

  int64_t count_global(const Tensor* indices, int64_t begin, int64_t end) const {
    const int32_t* index = indices->data<int32_t>();
    return std::count_if(index, index + indices->numel(), [=](int32_t i) { return i >= begin && i < end; });
  }

  bool dense(const Tensor* values, const MaskRows& rows, int64_t query, int64_t key) const {
    const Shape& shape = values->shape;
    const int64_t i = shape[2] == 1 ? 0 : query, j = shape[3] == 1 ? 0 : key;
    if (i < 0 || i >= shape[2] || j < 0 || j >= shape[3]) return false;
    const int64_t head = shape[1] == 1 ? 0 : rows.head;
    return values->data<uint8_t>()[((row_of(values, rows.sequence) * shape[1] + head) * shape[2] + i) * shape[3] + j];
  }

  Cover cover(int index, const MaskRows& rows, int64_t p0, int64_t p1, int64_t k0, int64_t k1) const {
    const Node n = node(index);
    switch (n.kind) {
      case MaskKind::kCausal: {
        const int64_t shift = n.a ? rows.offset : 0;
        return k1 - 1 <= p0 - shift ? Cover::kAll : k0 > p1 - 1 - shift ? Cover::kNone : Cover::kMixed;
      }
      case MaskKind::kWindow:
        if (k1 - 1 < p0 - n.a || k0 > p1 - 1 + n.b) return Cover::kNone;
        return k0 >= p1 - 1 - n.a && k1 - 1 <= p0 + n.b ? Cover::kAll : Cover::kMixed;
      case MaskKind::kStride:
        return n.a == 1 ? Cover::kAll : Cover::kMixed;
      case MaskKind::kRandom:
        return n.a >= rows.keys ? Cover::kAll : Cover::kMixed;
      case MaskKind::kBlock: {
        const int64_t p_low = floor_div(p0, n.a), p_high = floor_div(p1 - 1, n.a);
        const int64_t k_low = floor_div(k0, n.a), k_high = floor_div(k1 - 1, n.a);
        if (p_high < k_low || k_high < p_low) return Cover::kNone;
        return p_low == p_high && k_low == k_high ? Cover::kAll : Cover::kMixed;
      }
      case MaskKind::kBlockTail: {
        const int64_t head = std::max<int64_t>(0, n.a - n.b), first = floor_mod(k0, n.a);
        if (first >= head && first + (k1 - k0) <= n.a) return Cover::kAll;
        return first + (k1 - k0) <= head ? Cover::kNone : Cover::kMixed;
      }
      case MaskKind::kPrefix:
        return within(INT64_MIN, length(n, rows), k0, k1);
      case MaskKind::kSuffix:
        return within(rows.keys - length(n, rows), INT64_MAX, k0, k1);
      case MaskKind::kDocuments: {
        const Documents q = documents(mask_.data[n.a], rows.sequence, p0, p1);
        const Documents k = documents(mask_.data[n.a], rows.sequence, k0, k1);
        if (q.high < k.low || k.high < q.low || q.high < 0 || k.high < 0) return Cover::kNone;
        return q.low == q.high && k.low == k.high && q.low >= 0 ? Cover::kAll : Cover::kMixed;
      }
      case MaskKind::kGlobal: {
        const int64_t p = count_global(mask_.data[n.a], p0, p1), k = count_global(mask_.data[n.a], k0, k1);
        if (p == p1 - p0 || k == k1 - k0) return Cover::kAll;
        return p == 0 && k == 0 ? Cover::kNone : Cover::kMixed;
      }
      case MaskKind::kDense:
        return Cover::kMixed;  // asked row by row
      case MaskKind::kBlocks:
        return cover_blocks(n, rows, p0, p1, k0, k1);
      case MaskKind::kTree:
        return k1 <= rows.offset                               ? Cover::kAll
               : k0 >= rows.offset + mask_.data[n.a]->shape[0] ? Cover::kNone
                                                               : Cover::kMixed;
      case MaskKind::kAnd: {
        const Cover a = cover(n.a, rows, p0, p1, k0, k1);
        if (a == Cover::kNone) return a;
        const Cover b = cover(n.b, rows, p0, p1, k0, k1);
        return b == Cover::kNone || a == Cover::kAll ? b : Cover::kMixed;
      }
      case MaskKind::kOr: {
        const Cover a = cover(n.a, rows, p0, p1, k0, k1);
        if (a == Cover::kAll) return a;
        const Cover b = cover(n.b, rows, p0, p1, k0, k1);
        return b == Cover::kAll || a == Cover::kNone ? b : Cover::kMixed;
      }
      case MaskKind::kNot: {
        const Cover a = cover(n.a, rows, p0, p1, k0, k1);
        return a == Cover::kMixed ? a : a == Cover::kAll ? Cover::kNone : Cover::kAll;
      }
    }
    return Cover::kMixed;
  }

  template <typename Test>
  static uint64_t gather(const Test& test) {
    uint64_t word = 0;
    for (int j = 0; j < 64; ++j) word |= static_cast<uint64_t>(test(j)) << j;
    return word;
  }

  uint64_t word(int index, const MaskRows& rows, int64_t p, int64_t k0) const {
    const Node n = node(index);
    switch (n.kind) {
      case MaskKind::kCausal:
        return bits(0, p + 1 - (n.a ? rows.offset : 0) - k0);
      case MaskKind::kWindow:
        return bits(p - n.a - k0, p + n.b + 1 - k0);
      case MaskKind::kStride:
        return gather([&](int j) { return (p - k0 - j) % n.a == 0; });
      case MaskKind::kRandom: {
        int32_t drawn[MaskOperand::kMaxRandom];
        uint64_t word = 0;
        const int count = draw_keys(static_cast<uint32_t>(n.b), p, n.a, rows.keys, drawn);
        for (int i = 0; i < count; ++i) {
          if (drawn[i] >= k0 && drawn[i] < k0 + 64) word |= uint64_t{1} << (drawn[i] - k0);
        }
        return word;
      }
      case MaskKind::kBlock: {
        const int64_t begin = floor_div(p, n.a) * n.a;
        return bits(begin - k0, begin + n.a - k0);
      }
      case MaskKind::kBlockTail:
        return gather([&](int j) { return floor_mod(k0 + j, n.a) >= n.a - n.b; });
      case MaskKind::kPrefix:
        return bits(0, length(n, rows) - k0);
      case MaskKind::kSuffix:
        return bits(rows.keys - length(n, rows) - k0, 64);
      case MaskKind::kDocuments: {
        const Tensor* ids = mask_.data[n.a];
        const int32_t own = document(ids, rows.sequence, p);
        return own < 0 ? 0 : gather([&](int j) { return document(ids, rows.sequence, k0 + j) == own; });
      }
      case MaskKind::kGlobal: {
        const Tensor* indices = mask_.data[n.a];
        if (count_global(indices, p, p + 1) > 0) return ~uint64_t{0};
        uint64_t word = 0;
        for (int64_t g = 0; g < indices->numel(); ++g) {
          const int64_t j = indices->data<int32_t>()[g] - k0;
          if (j >= 0 && j < 64) word |= uint64_t{1} << j;
        }
        return word;
      }
      case MaskKind::kDense: {
        const Tensor* values = mask_.data[n.a];
        return gather([&](int j) { return dense(values, rows, p - rows.offset, k0 + j); });
      }
      case MaskKind::kBlocks: {
        const int64_t p_block = floor_div(p, n.b);
        return gather([&](int j) { return block_kept(n, rows.head, p_block, floor_div(k0 + j, n.b)); });
      }
      case MaskKind::kTree: {
        const Tensor* ancestors = mask_.data[n.a];
        return gather([&](int j) { return in_tree(ancestors, p - rows.offset, k0 + j - rows.offset); });
      }
      case MaskKind::kAnd:
        return word(n.a, rows, p, k0) & word(n.b, rows, p, k0);
      case MaskKind::kOr:
        return word(n.a, rows, p, k0) | word(n.b, rows, p, k0);
      case MaskKind::kNot:
        return ~word(n.a, rows, p, k0);
    }
    return 0;
  }

  const MaskOperand& mask_;
  const int32_t* code_;
  int root_;
};

}  // namespace heddle::cpu::HEDDLE_ISA
