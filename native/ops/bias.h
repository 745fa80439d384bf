#pragma once

#include <array>
#include <cstdint>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// What is added to the scores of attention: a sum of terms, each a function of a query and a key. As a mask it is
/// data: a tensor of terms and the tensors that they name.
///
///   code  [M, 4] int32: kind, slot of `data`, low, flags
///   data  float32, by kind as below
///
/// The distance of a key from a query is d = key position - query position. A term by distance has W values, of which
/// a pair takes number clamp(d + low, 0, W - 1).
enum class BiasKind : int32_t {
  kAlibi,       // slope_h · d, symmetric -slope_h · |d|   data: [H]
  kByDistance,  // data[h, …]                              data: [H or 1, W]
  kByQuery,     // data[query, h, …]                       data: [Bq, Tq, H, W], as q
  kByKey,       // data[b, key, h, …]                      data: [B, Tk, Hkv, W]
  kDense,       // data[b, h, i, key]                      data: [B or 1, H or 1, Tq or 1, Tk or 1], any strides
};

enum BiasFlag : int32_t {
  kScaledBias = 1,     // added to q · k, before scale and soft cap
  kSymmetricBias = 2,  // of kAlibi
};

struct BiasOperand {
  static constexpr size_t kMaxData = 4;

  const Tensor* code = nullptr;  // null: nothing is added
  std::array<const Tensor*, kMaxData> data{};
  /// Positions that distances are taken between; null: those that masks speak of, and 0, 1, … for keys.
  const Tensor* query_positions = nullptr;  // [Bq · Tq] int32, dense
  const Tensor* key_positions = nullptr;    // [B or 1, T] int32, dense; beyond T keys count from there on
};

/// One query of one head, as kernels show it to a bias.
struct BiasRow {
  int64_t sequence;
  int64_t head;
  int64_t kv_head;
  int64_t query;     // of its sequence
  int64_t token;     // of all queries
  int64_t position;  // among the keys
};

/// A bias as JavaScript gives it.
struct BiasExpression {
  const int32_t* code = nullptr;  // [terms, 4], the caller's; null: none
  int64_t terms = 0;
  std::array<const Tensor*, BiasOperand::kMaxData> data{};
  const Tensor* query_positions = nullptr;
  const Tensor* key_positions = nullptr;

  /// The operand of an op with queries q [Bq, Tq, H, Dk] of `batch` sequences. Throws TypeError or RangeError for what
  /// does not fit, and for a code that kernels could not trust.
  BiasOperand operand(Runtime& runtime, const char* function, const Tensor* q, int64_t batch, int64_t kv_heads) const;
  /// Throws RangeError if a dense term, or one by key, is not of so many queries and keys: where they are known before
  /// the op runs.
  void check_extent(const char* function, int64_t queries, int64_t keys) const;
};

}  // namespace heddle
