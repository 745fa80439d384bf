#pragma once

#include <cmath>

#include "cpu/math.h"
#include "cpu/row_sum.h"

namespace heddle::cpu::HEDDLE_ISA {

/// The largest of a row; NaN is passed over, as it comes back by another way.
template <typename T>
inline float maximum(const T* x, int64_t width) {
  Vec top = Vec::set(-INFINITY);
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    top = select(Vec::first(lanes), max(Vec::load(x + i, lanes), top), top);
  }
  return largest(top);
}

/// ln Σ e^x of a row.
template <typename T>
inline float row_lse(const T* x, int64_t width) {
  const float top = maximum(x, width);
  const float shift = std::isinf(top) ? 0.0f : top;  // ∞ - ∞ is NaN
  const float total = sum_of(width, [&](int64_t i, int n) { return exp(Vec::load(x + i, n) - Vec::set(shift)); });
  return shift + std::log(total);
}

}  // namespace heddle::cpu::HEDDLE_ISA
