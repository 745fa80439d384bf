#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Positive random features, whose products stand for a kernel of the vectors: FAVOR+ (Choromanski et al., 2020, lemma
/// 1 and section 2.3). With y = D^-1/4 x, w_m the rows of the projection, of which there are M:
///
///   softmax   out_m = M^-1/2 (e^(w_m · y - |y|² / 2 - top) + eps), for e^(scores of softmax attention)
///   else      out_m = max(w_m · y, 0) + eps
///
/// `top` only keeps the powers in range: it falls out of normalized attention but for eps. Of queries it is the largest
/// w_m · y of the vector; of keys, which must share one, the largest of all keys of a head that are there.
///
///   x         [B, H, T, D] of a float dtype, any strides
///   products  [B, H, T, M] float32, dense: w_m · x
///   padding   see KeyPadding; vectors that are not there get features of 0
///   out       [B, H, T, M] of x's dtype, dense, rounded once
struct FavorFeatures {
  static constexpr const char* kName = "favor_features";
  const Tensor* x;
  const Tensor* products = nullptr;
  const Tensor* padding = nullptr;
  bool softmax = true;
  bool queries = true;
  float eps = 0.0f;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {x, products, padding}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// `projection` [M, D] float32. Throws TypeError or RangeError for what does not fit.
Tensor* favor_features(Runtime& runtime, FavorFeatures op, const Tensor* projection);

}  // namespace heddle
