#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out = a · b, a matrix product for each matrix of the batch.
///
///   a    [..., M, K] of a float dtype, any strides
///   b    [..., K, N] of the same
///   out  [..., M, N]
///
/// The axes before the last two are broadcast as NumPy does. Each element is one chain of multiply-adds along k in
/// float32, rounded once; where K is 0, it is 0. Throws RangeError where the shapes do not fit.
struct Matmul {
  static constexpr const char* kName = "matmul";
  const Tensor* a;
  const Tensor* b;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {a, b}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* matmul(Runtime& runtime, Matmul op);

}  // namespace heddle
