#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out[i] = x[index[i]], or zeros where index[i] is -1: rows picked out, or spread over a padded batch.
///
///   x      [N, C] of a float dtype or int32
///   index  [M] int32
///   out    [M, C]
///
/// An index outside [-1, N) fails when the op runs: INDEX_OUT_OF_RANGE.
struct GatherRows {
  static constexpr const char* kName = "gather_rows";
  const Tensor* x;
  const Tensor* index;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {x, index}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: index[at] is outside x.
  [[noreturn]] void fail(int64_t at, int32_t row) const;
};
Tensor* gather_rows(Runtime& runtime, GatherRows op);

}  // namespace heddle
