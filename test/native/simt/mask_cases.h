#pragma once

#include <random>

#include "simt/harness.h"

namespace heddle::test {

/// A mask under construction, and the plain meaning of its nodes.
class MaskBuilder {
 public:
  /// The pair of a query and a key: sequence, head, index and position of the query.
  struct Pair {
    int64_t b, h, i, position, key;
  };

  int causal() { return add(MaskKind::kCausal, 0, 0); }
  int window(int32_t left, int32_t right) { return add(MaskKind::kWindow, left, right); }
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
  int dense(const Shape& shape, uint32_t seed) {
    const Values values(DType::kBool, shape);
    std::mt19937 bits(seed);
    for (int64_t i = 0; i < shape.numel(); ++i) values->data<uint8_t>()[i] = bits() % 3 != 0;
    return add(MaskKind::kDense, keep(values), 0);
  }
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

  bool keeps(int node, const Pair& pair) const {
    const int32_t a = code_[4 * node + 1], b = code_[4 * node + 2];
    const auto row = [&](const Values& data) { return data->shape[0] == 1 ? 0 : pair.b; };
    switch (static_cast<MaskKind>(code_[4 * node])) {
      case MaskKind::kCausal:
        return pair.key <= pair.position;
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
    {"not a window", [](MaskBuilder& m) { m.negate(m.window(64, 64)); }},
    {"all of it",
     [](MaskBuilder& m) {
       const int seen = m.both(m.prefix({150, 90}), m.either(m.causal(), m.global({3, 100})));
       m.either(m.both(seen, m.negate(m.dense({1, 1, 90, 200}, 4))), m.both(m.window(0, 0), seen));
     }},
};

}  // namespace heddle::test
