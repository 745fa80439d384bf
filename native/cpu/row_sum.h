#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/simd.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Sum of term(i) over [0, width), in a fixed order: 64 partial sums, however wide a vector is, then across. Fewer
/// would be longer chains, which take longer and lose more of numbers far from 0.
template <typename Term>
inline float sum_of(int64_t width, const Term& term) {
  constexpr int kW = Vec::kWidth, kSums = 64, kVecs = kSums / kW;
  Vec total[kVecs];
  for (Vec& part : total) part = Vec::set(0.0f);
  int64_t i = 0;
  for (; i + kSums <= width; i += kSums) {
    for (int v = 0; v < kVecs; ++v) total[v] = total[v] + term(i + v * kW, kW);
  }
  for (int v = 0; v < kVecs && i < width; ++v, i += kW) {
    const int lanes = static_cast<int>(std::min<int64_t>(kW, width - i));
    total[v] = total[v] + select(Vec::first(lanes), term(i, lanes), Vec::set(0.0f));
  }
  for (int step = kVecs / 2; step > 0; step /= 2) {
    for (int v = 0; v < step; ++v) total[v] = total[v] + total[v + step];
  }
  return sum(total[0]);
}

}  // namespace heddle::cpu::HEDDLE_ISA
