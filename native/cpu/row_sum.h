#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/simd.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Sum of term(i) over [0, width), in a fixed order: sixteen partial sums, however wide a vector is, then across. Fewer
/// would be longer chains, which lose more of numbers far from 0.
template <typename Term>
inline float sum_of(int64_t width, const Term& term) {
  constexpr int kW = Vec::kWidth, kVecs = 16 / kW;
  Vec total[kVecs];
  for (Vec& part : total) part = Vec::set(0.0f);
  for (int64_t begin = 0; begin < width; begin += 16) {
    for (int v = 0; v < kVecs && begin + v * kW < width; ++v) {
      const int64_t i = begin + v * kW;
      const int lanes = static_cast<int>(std::min<int64_t>(kW, width - i));
      total[v] = total[v] + select(Vec::first(lanes), term(i, lanes), Vec::set(0.0f));
    }
  }
  for (int v = 1; v < kVecs; ++v) total[0] = total[0] + total[v];
  return sum(total[0]);
}

}  // namespace heddle::cpu::HEDDLE_ISA
