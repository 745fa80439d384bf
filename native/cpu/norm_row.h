#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "cpu/prefetch.h"
#include "cpu/row_sum.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Floats of scratch that `norm_row` needs for a row.
template <typename T>
constexpr int64_t norm_row_floats(int64_t width) {
  return std::is_same_v<T, float> ? 0 : width;
}

/// x + residual in float32, and into `sum` as a T holds it; x alone where residual is null. Halves go to `scratch`:
/// what is normalized is not rounded before.
template <typename T>
inline const float* norm_row(const T* x, const T* residual, int64_t width, T* sum, float* scratch) {
  constexpr bool kIsHalf = !std::is_same_v<T, float>;
  if constexpr (!kIsHalf) {
    if (!residual) return x;
    scratch = sum;
  }
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    Vec v = Vec::load(x + i, lanes);
    if (residual) {
      v = v + Vec::load(residual + i, lanes);
      if constexpr (kIsHalf) v.store(sum + i, lanes);
    }
    v.store(scratch + i, lanes);
  }
  return scratch;
}

}  // namespace heddle::cpu::HEDDLE_ISA
