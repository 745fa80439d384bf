#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/simd.h"

namespace heddle::cpu::HEDDLE_ISA {

/// Σ term(i) over [0, width), in a fixed order: lane by lane, then across.
template <typename Term>
inline float sum_of(int64_t width, const Term& term) {
  constexpr int kW = Vec::kWidth;
  Vec total = Vec::set(0.0f);
  for (int64_t i = 0; i < width; i += kW) {
    const int lanes = static_cast<int>(std::min<int64_t>(kW, width - i));
    total = total + select(Vec::first(lanes), term(i, lanes), Vec::set(0.0f));
  }
  return sum(total);
}

}  // namespace heddle::cpu::HEDDLE_ISA
