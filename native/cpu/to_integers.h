#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/quantize_numbers.h"
#include "cpu/math.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {

/// x [k] as whole numbers in [-127, 127] and a scale, which is returned: see Linear. What is not finite gives zeros and
/// a scale of NaN.
template <typename T>
inline float to_integers(const T* x, int64_t k, int8_t* to) {
  Vec highest = Vec::set(0), zero = Vec::set(0);
  vectors_of(0, k, [&](int64_t i, int lanes) {
    const Vec v = Vec::load(x + i, lanes);
    highest = max(highest, abs(v));
    zero = fma(v, Vec::set(0), zero);
  });
  const float magnitude = largest(highest);
  const bool is_finite = sum(zero) == 0;
  if (!is_finite || magnitude < kLeastInput) {
    std::fill(to, to + k, int8_t{0});
    return is_finite ? 0 : std::numeric_limits<float>::quiet_NaN();
  }
  const Vec inverse = Vec::set(127 / magnitude);
  int64_t i = 0;
  for (; i + Vec::kWidth <= k; i += Vec::kWidth) (Vec::load(x + i) * inverse).store_integers(to + i);
  if (i < k) {
    const int lanes = static_cast<int>(k - i);
    alignas(64) int8_t last[Vec::kWidth];
    (Vec::load(x + i, lanes) * inverse).store_integers(last);
    std::copy_n(last, lanes, to + i);
  }
  return magnitude / 127;
}

}  // namespace heddle::cpu::HEDDLE_ISA
