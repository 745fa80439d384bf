#pragma once

#include <cmath>

#include "cpu/math.h"
#include "cpu/row_sum.h"

namespace heddle::cpu::HEDDLE_ISA {

// Not inlined: callers would have a copy for each dtype in each of their ways to run in parallel.

/// The largest of a row; NaN is passed over, as it comes back by another way.
template <typename T>
[[gnu::noinline]] float maximum(const T* x, int64_t width) {
  constexpr int kW = Vec::kWidth, kVecs = 2;
  Vec top[kVecs];
  for (Vec& part : top) part = Vec::set(-INFINITY);
  int64_t i = 0;
  for (; i + kVecs * kW <= width; i += kVecs * kW) {
    for (int v = 0; v < kVecs; ++v) top[v] = max(Vec::load(x + i + v * kW), top[v]);
  }
  for (int v = 0; i < width; ++v, i += kW) {
    const int lanes = static_cast<int>(std::min<int64_t>(kW, width - i));
    top[v] = select(Vec::first(lanes), max(Vec::load(x + i, lanes), top[v]), top[v]);
  }
  return largest(max(top[0], top[1]));
}

/// ln Σ e^x of a row.
template <typename T>
[[gnu::noinline]] float row_lse(const T* x, int64_t width) {
  const float top = maximum(x, width);
  const float shift = std::isinf(top) ? 0.0f : top;  // ∞ - ∞ is NaN
  const float total = sum_of(width, [&](int64_t i, int n) { return exp(Vec::load(x + i, n) - Vec::set(shift)); });
  return shift + std::log(total);
}

}  // namespace heddle::cpu::HEDDLE_ISA
