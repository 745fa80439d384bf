#pragma once

#include <algorithm>
#include <cmath>
#include <random>

#include "ops/random_keys.h"
#include "simt/harness.h"

namespace heddle::test {

/// A mask under construction, and the plain meaning of its nodes.
class MaskBuilder {
 public:
  /// The pair of a query and a key: sequence, head, index and position of the query.
  struct Pair {
    int64_t b, h, i, position, key;
    int64_t keys;  // that the sequence has
  };

  int causal() { return add(MaskKind::kCausal, 0, 0); }
  int window(int32_t left, int32_t right) { return add(MaskKind::kWindow, left, right); }
  int top_left() { return add(MaskKind::kCausal, 1, 0); }
  int stride(int32_t step) { return add(MaskKind::kStride, step, 0); }
  int random(int32_t count, int32_t seed) { return add(MaskKind::kRandom, count, seed); }
  int block(int32_t size) { return add(MaskKind::kBlock, size, 0); }
  int block_tail(int32_t size, int32_t tail) { return add(MaskKind::kBlockTail, size, tail); }
  int suffix(const Ints& lengths) {
    return add(MaskKind::kSuffix, keep(Values::of({static_cast<int64_t>(lengths.size())}, lengths)), 0);
  }
  int blocks(const Shape& shape, int32_t size, uint32_t seed) {
    return add(MaskKind::kBlocks, keep(random_bits(shape, seed)), size);
  }
  /// Of a chain with a branch.
  int tree(int64_t count) {
    const Values ancestors(DType::kBool, {count, count});
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < count; ++j) {
        ancestors->data<uint8_t>()[i * count + j] = j == i || (j < i && (i % 3 != 2 || j < i - 1) && j % 3 != 2);
      }
    }
    return add(MaskKind::kTree, keep(ancestors), 0);
  }
  int prefix(const Ints& lengths) {
    return add(MaskKind::kPrefix, keep(Values::of({static_cast<int64_t>(lengths.size())}, lengths)), 0);
  }
  int documents(int64_t rows, const Ints& ids) {
    const int64_t width = static_cast<int64_t>(ids.size()) / rows;
    return add(MaskKind::kDocuments, keep(Values::of({rows, width}, ids)), 0);
  }
  int global(const Ints& indices) {
    return add(MaskKind::kGlobal, keep(Values::of({static_cast<int64_t>(indices.size())}, indices)), 0);
  }
  int dense(const Shape& shape, uint32_t seed) { return add(MaskKind::kDense, keep(random_bits(shape, seed)), 0); }
  int both(int a, int b) { return add(MaskKind::kAnd, a, b); }
  int either(int a, int b) { return add(MaskKind::kOr, a, b); }
  int negate(int a) { return add(MaskKind::kNot, a, a); }

  MaskOperand operand() {
    code_values_ = std::make_unique<Values>(Values::of({static_cast<int64_t>(code_.size() / 4), 4}, code_));
    MaskOperand operand{*code_values_, {}};
    for (size_t i = 0; i < data_.size(); ++i) operand.data[i] = data_[i];
    return operand;
  }

  bool keeps(const Pair& pair) const { return keeps(static_cast<int>(code_.size() / 4) - 1, pair); }

 private:
  int add(MaskKind kind, int32_t a, int32_t b) {
    code_.insert(code_.end(), {static_cast<int32_t>(kind), a, b, 0});
    return static_cast<int>(code_.size() / 4) - 1;
  }
  int keep(const Values& values) {
    data_.push_back(values);
    return static_cast<int>(data_.size()) - 1;
  }

  static Values random_bits(const Shape& shape, uint32_t seed) {
    Values values(DType::kBool, shape);
    std::mt19937 bits(seed);
    for (int64_t i = 0; i < shape.numel(); ++i) values->data<uint8_t>()[i] = bits() % 3 != 0;
    return values;
  }

  bool keeps(int node, const Pair& pair) const {
    const int32_t a = code_[4 * node + 1], b = code_[4 * node + 2];
    const auto row = [&](const Values& data) { return data->shape[0] == 1 ? 0 : pair.b; };
    switch (static_cast<MaskKind>(code_[4 * node])) {
      case MaskKind::kCausal:
        return pair.key <= (a ? pair.i : pair.position);
      case MaskKind::kStride:
        return std::abs(pair.position - pair.key) % a == 0;
      case MaskKind::kRandom: {
        int32_t drawn[MaskOperand::kMaxRandom];
        const int count = draw_keys(static_cast<uint32_t>(b), pair.position, a, pair.keys, drawn);
        return std::find(drawn, drawn + count, pair.key) != drawn + count;
      }
      case MaskKind::kBlock:
        return std::floor(double(pair.position) / a) == std::floor(double(pair.key) / a);
      case MaskKind::kBlockTail:
        return pair.key % a >= a - b;
      case MaskKind::kSuffix:
        return pair.key >= pair.keys - data_[a].ints()[row(data_[a])];
      case MaskKind::kBlocks: {
        const Shape& s = data_[a]->shape;
        const int64_t i = pair.position / b, j = pair.key / b;
        if (pair.position < 0 || i >= s[1] || j >= s[2]) return false;
        return data_[a]->data<uint8_t>()[((s[0] == 1 ? 0 : pair.h) * s[1] + i) * s[2] + j] != 0;
      }
      case MaskKind::kTree: {
        const int64_t n = data_[a]->shape[0], j = pair.key - (pair.position - pair.i);
        return j < 0 || (pair.i < n && j < n && data_[a]->data<uint8_t>()[pair.i * n + j] != 0);
      }
      case MaskKind::kWindow:
        return pair.key >= pair.position - a && pair.key <= pair.position + b;
      case MaskKind::kPrefix:
        return pair.key < data_[a].ints()[row(data_[a])];
      case MaskKind::kDocuments: {
        const int64_t width = data_[a]->shape[1];
        const auto at = [&](int64_t p) {
          return p < 0 || p >= width ? -1 : data_[a]->data<int32_t>()[row(data_[a]) * width + p];
        };
        return at(pair.position) >= 0 && at(pair.position) == at(pair.key);
      }
      case MaskKind::kGlobal:
        for (const int32_t index : data_[a].ints()) {
          if (index == pair.position || index == pair.key) return true;
        }
        return false;
      case MaskKind::kDense: {
        const Shape& s = data_[a]->shape;
        const int64_t i = s[2] == 1 ? 0 : pair.i, j = s[3] == 1 ? 0 : pair.key;
        if (i < 0 || i >= s[2] || j < 0 || j >= s[3]) return false;
        const int64_t head = row(data_[a]) * s[1] + (s[1] == 1 ? 0 : pair.h);
        return data_[a]->data<uint8_t>()[(head * s[2] + i) * s[3] + j] != 0;
      }
      case MaskKind::kAnd:
        return keeps(a, pair) && keeps(b, pair);
      case MaskKind::kOr:
        return keeps(a, pair) || keeps(b, pair);
      case MaskKind::kNot:
        return !keeps(a, pair);
    }
    return false;
  }

  Ints code_;
  std::vector<Values> data_;
  std::unique_ptr<Values> code_values_;
};

struct MaskCase {
  const char* name;
  void (*build)(MaskBuilder& mask);
};

/// For two sequences of up to 200 keys and two heads.
inline const MaskCase kMaskCases[] = {
    {"causal", [](MaskBuilder& m) { m.causal(); }},
    {"a window", [](MaskBuilder& m) { m.window(20, 3); }},
    {"a window to the right", [](MaskBuilder& m) { m.window(-2, 70); }},
    {"lengths",
     [](MaskBuilder& m) {
       m.prefix({70, 5});
     }},
    {"one length", [](MaskBuilder& m) { m.prefix({64}); }},
    {"no key", [](MaskBuilder& m) { m.prefix({0}); }},
    {"documents",
     [](MaskBuilder& m) {
       Ints ids;
       for (int i = 0; i < 400; ++i) ids.push_back(i % 50 == 49 ? -1 : i / 70);
       m.documents(2, ids);
     }},
    {"global tokens",
     [](MaskBuilder& m) {
       m.global({0, 65, 130});
     }},
    {"no global token", [](MaskBuilder& m) { m.global({}); }},
    {"dense",
     [](MaskBuilder& m) {
       m.dense({2, 2, 90, 120}, 1);
     }},
    {"dense for all queries",
     [](MaskBuilder& m) {
       m.dense({1, 2, 1, 60}, 2);
     }},
    {"dense for all keys",
     [](MaskBuilder& m) {
       m.dense({2, 1, 90, 1}, 3);
     }},
    {"Longformer",
     [](MaskBuilder& m) {
       m.both(m.causal(), m.either(m.window(30, 30), m.global({0, 80})));
     }},
    {"causal, top-left", [](MaskBuilder& m) { m.top_left(); }},
    {"dilated", [](MaskBuilder& m) { m.both(m.window(27, 0), m.stride(3)); }},
    {"strided", [](MaskBuilder& m) { m.both(m.causal(), m.either(m.window(6, 0), m.stride(7))); }},
    {"fixed", [](MaskBuilder& m) { m.both(m.causal(), m.either(m.block(20), m.block_tail(20, 3))); }},
    {"blocks of 64", [](MaskBuilder& m) { m.either(m.block(64), m.block_tail(64, 64)); }},
    {"random keys", [](MaskBuilder& m) { m.random(9, 77); }},
    {"last keys",
     [](MaskBuilder& m) {
       m.suffix({70, 5});
     }},
    {"a layout of blocks",
     [](MaskBuilder& m) {
       m.blocks({2, 5, 7}, 32, 5);
     }},
    {"a layout of small blocks",
     [](MaskBuilder& m) {
       m.blocks({1, 40, 40}, 5, 6);
     }},
    {"a tree", [](MaskBuilder& m) { m.tree(8); }},
    {"not a window", [](MaskBuilder& m) { m.negate(m.window(64, 64)); }},
    {"all of it",
     [](MaskBuilder& m) {
       const int seen = m.both(m.prefix({150, 90}), m.either(m.causal(), m.global({3, 100})));
       m.either(m.both(seen, m.negate(m.dense({1, 1, 90, 200}, 4))), m.both(m.window(0, 0), seen));
     }},
};

}  // namespace heddle::test
