#pragma once

#include "simt/harness.h"

namespace heddle::test {

/// A pair of a query and a key of the complete problem: the query's number in its sequence, and its position.
struct PlainPair {
  size_t b;
  int64_t h, kv_head, i, key, position;
};

/// A number that depends on its place alone, so that a part of a problem has the same as the whole.
inline float number_at(int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t mixed = (a * 7919 + b * 104729 + c * 1299709 + d * 15485863) % 2003;
  return static_cast<float>(mixed < 0 ? mixed + 2003 : mixed) / 1001.5f - 1.0f;
}

struct BiasCase {
  const char* name;
  BiasKind kind;
  int32_t width;  // of terms by distance
  int32_t low;
  bool scaled;
  bool symmetric;
  bool causal;

  /// Keys that kDense hides from all.
  static constexpr int64_t kHiddenStep = 11, kHidden = 5;

  float slope(int64_t h) const { return 0.5f / static_cast<float>(h + 1); }
  float at(const PlainPair& pair) const {
    const int64_t distance = pair.key - pair.position;
    const int64_t number = std::min<int64_t>(width - 1, std::max<int64_t>(0, distance + low));
    switch (kind) {
      case BiasKind::kAlibi:
        return symmetric ? -slope(pair.h) * static_cast<float>(std::abs(distance))
                         : slope(pair.h) * static_cast<float>(distance);
      case BiasKind::kByDistance:
        return number_at(pair.h, number, 0, 0);
      case BiasKind::kByQuery:
        return number_at(static_cast<int64_t>(pair.b), pair.i, pair.h, number);
      case BiasKind::kByKey:
        return number_at(static_cast<int64_t>(pair.b), pair.key, pair.kv_head, number);
      case BiasKind::kDense:
        return dense(static_cast<int64_t>(pair.b), pair.h, pair.i, pair.key);
    }
    return 0;
  }
  static float dense(int64_t b, int64_t h, int64_t i, int64_t key) {
    return key % kHiddenStep == kHidden ? -INFINITY : number_at(b, h, i, key);
  }
};

/// What a call has of a problem: its sequences, from which query on, how many, and how many keys they have.
struct BiasSizes {
  const std::vector<size_t>& sequences;
  const Ints& first;
  const Ints& counts;
  Ints keys;
  int64_t heads, kv_heads;
};

/// A bias for a call.
class BiasValues {
 public:
  BiasValues(const BiasCase& given, const BiasSizes& sizes)
      : code_(Values::of({1, 4}, Ints{static_cast<int32_t>(given.kind), 0, given.low,
                                      (given.scaled ? kScaledBias : 0) | (given.symmetric ? kSymmetricBias : 0)})),
        data_(values_of(given, sizes)) {}

  BiasOperand operand() const {
    BiasOperand operand;
    operand.code = code_;
    operand.data[0] = data_;
    return operand;
  }

 private:
  static Values values_of(const BiasCase& given, const BiasSizes& sizes) {
    const auto count = static_cast<int64_t>(sizes.sequences.size());
    const int64_t queries = *std::max_element(sizes.counts.begin(), sizes.counts.end());
    const int64_t keys = *std::max_element(sizes.keys.begin(), sizes.keys.end());
    Floats values;
    switch (given.kind) {
      case BiasKind::kAlibi:
        for (int64_t h = 0; h < sizes.heads; ++h) values.push_back(given.slope(h));
        return Values::of({sizes.heads}, values);
      case BiasKind::kByDistance:
        for (int64_t h = 0; h < sizes.heads; ++h) {
          for (int64_t n = 0; n < given.width; ++n) values.push_back(number_at(h, n, 0, 0));
        }
        return Values::of({sizes.heads, given.width}, values);
      case BiasKind::kByQuery: {
        int64_t tokens = 0;
        for (int64_t s = 0; s < count; ++s) {
          const auto b = static_cast<int64_t>(sizes.sequences[s]);
          tokens += sizes.counts[s];
          for (int64_t i = 0; i < sizes.counts[s]; ++i) {
            for (int64_t h = 0; h < sizes.heads; ++h) {
              for (int64_t n = 0; n < given.width; ++n) values.push_back(number_at(b, sizes.first[s] + i, h, n));
            }
          }
        }
        return Values::of({1, tokens, sizes.heads, given.width}, values);
      }
      case BiasKind::kByKey:
        for (int64_t s = 0; s < count; ++s) {
          const auto b = static_cast<int64_t>(sizes.sequences[s]);
          for (int64_t j = 0; j < keys; ++j) {
            for (int64_t h = 0; h < sizes.kv_heads; ++h) {
              for (int64_t n = 0; n < given.width; ++n) values.push_back(number_at(b, j, h, n));
            }
          }
        }
        return Values::of({count, keys, sizes.kv_heads, given.width}, values);
      case BiasKind::kDense:
        for (int64_t s = 0; s < count; ++s) {
          const auto b = static_cast<int64_t>(sizes.sequences[s]);
          for (int64_t h = 0; h < sizes.heads; ++h) {
            for (int64_t i = 0; i < queries; ++i) {
              for (int64_t j = 0; j < keys; ++j) values.push_back(BiasCase::dense(b, h, sizes.first[s] + i, j));
            }
          }
        }
        return Values::of({count, sizes.heads, queries, keys}, values);
    }
    return Values::of({0}, values);
  }

  Values code_, data_;
};

inline const BiasCase kBiasCases[] = {
    {"alibi", BiasKind::kAlibi, 1, 0, false, false, true},
    {"by distance", BiasKind::kByDistance, 21, 15, false, false, true},
    {"symmetric alibi", BiasKind::kAlibi, 1, 0, false, true, false},
    {"by query", BiasKind::kByQuery, 7, 3, true, false, false},
    {"by key", BiasKind::kByKey, 9, 4, true, false, true},
    {"dense", BiasKind::kDense, 1, 0, false, false, true},
};

}  // namespace heddle::test
