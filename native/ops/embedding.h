#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out[..., :] = table[ids[...], :].
///
///   table  [V, C] of a float dtype, dense or packed for linear (a tied head); or int8 or int4, packed
///   ids    int32, any shape of at most kMaxRank - 1 axes
///   out    ids.shape + [C], of the table's dtype; of `dtype`, rounded to it, where the table is quantized
///
/// An id outside [0, V) fails when the op runs: INDEX_OUT_OF_RANGE.
struct Embedding {
  static constexpr const char* kName = "embedding";
  const Tensor* table;
  const Tensor* ids;
  DType dtype;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {table, ids}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: ids[index] is outside the table.
  [[noreturn]] void fail(int64_t index, int32_t id) const;
};
Tensor* embedding(Runtime& runtime, Embedding op);

}  // namespace heddle
