#pragma once

#include <algorithm>

#include "cpu/math.h"
#include "scores/row.h"

namespace heddle::cpu::HEDDLE_ISA {

/// One thread as a team: see scores/row.h. Loops are left to the compiler, which makes vectors of them.
struct SoloTeam {
  int32_t* candidates;  // scratch for a row

  template <typename F>
  void each(int64_t n, const F& f) const {
    for (int64_t i = 0; i < n; ++i) f(i);
  }

  template <typename T, typename F>
  void fill(T* to, int64_t n, const F& f) const {
    for (int64_t i = 0; i < n; ++i) to[i] = f(i);
  }

  template <typename T, typename F, typename Combine>
  T reduce(int64_t n, T zero, const F& f, const Combine& combine) const {
    constexpr int kLanes = 8;
    T lanes[kLanes];
    std::fill_n(lanes, kLanes, zero);
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
      for (int j = 0; j < kLanes; ++j) lanes[j] = combine(lanes[j], f(i + j));
    }
    for (int j = 0; i + j < n; ++j) lanes[j] = combine(lanes[j], f(i + j));
    for (int j = 1; j < kLanes; ++j) lanes[0] = combine(lanes[0], lanes[j]);
    return lanes[0];
  }

  float top_of(const float* x, int64_t n) const {
    const Vec infinity = Vec::set(INFINITY);
    Vec most = Vec::set(-INFINITY), wrong = Vec::set(0.0f);
    for (int64_t i = 0; i < n; i += Vec::kWidth) {
      const int lanes = lanes_at(i, n);
      const Vec v = select(Vec::first(lanes), Vec::load(x + i, lanes), Vec::set(-INFINITY));
      wrong = select(is_nan(v), infinity, wrong);
      most = max(v, most);  // without NaN
    }
    return largest(wrong) > 0 ? NAN : largest(most);
  }

  void weigh(const float* x, float top, int64_t n, float* weights) const {
    const Vec shift = Vec::set(top);
    for (int64_t i = 0; i < n; i += Vec::kWidth) {
      const int lanes = lanes_at(i, n);
      exp(Vec::load(x + i, lanes) - shift).store(weights + i, lanes);
    }
  }

  /// Digit by digit; only those that share the digits found so far are looked at again.
  uint64_t find(const uint32_t* keys, const float* weights, int64_t n, scores::Weight target) const {
    const auto weigh = [=](int64_t i) { return weights ? scores::fixed_point(weights[i]) : scores::Weight{1}; };
    if (!keys)
      return walk(
          n, target, [](int64_t i) { return i; }, weigh);
    constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;
    constexpr int kParts = 4;  // of a sum: neighbours often share a digit, and would wait for each other
    scores::Weight parts[kDigits][kParts];
    const auto find_digit = [&](int64_t count, int shift, const auto& index) {
      std::fill_n(parts[0], kDigits * kParts, scores::Weight{0});
      for (int64_t i = 0; i < count; ++i) {
        parts[keys[index(i)] >> shift & (kDigits - 1)][i % kParts] += weigh(index(i));
      }
      for (uint32_t digit = 0;; ++digit) {
        const scores::Weight weight = parts[digit][0] + parts[digit][1] + parts[digit][2] + parts[digit][3];
        if (digit == kDigits - 1 || weight > target) return digit;
        target -= weight;
      }
    };
    int shift = 32 - kDigitBits;
    uint32_t digit = find_digit(n, shift, [](int64_t i) { return i; });
    int64_t count = 0;
    for (int64_t i = 0; i < n; ++i) {
      candidates[count] = static_cast<int32_t>(i);
      count += keys[i] >> shift == digit;
    }
    while (shift > 0) {
      shift = std::max(0, shift - kDigitBits);
      const int32_t* const from = candidates;
      digit = find_digit(count, shift, [=](int64_t i) { return from[i]; });
      int64_t kept = 0;
      for (int64_t i = 0; i < count; ++i) {
        candidates[kept] = candidates[i];
        kept += (keys[candidates[i]] >> shift & (kDigits - 1)) == digit;
      }
      count = kept;
    }
    const int64_t found = walk(
        count, target, [this](int64_t i) { return candidates[i]; }, weigh);
    return scores::place_of(keys[found], found);
  }

  uint32_t add_to(uint32_t* at, uint32_t value) const {
    const uint32_t old = *at;
    *at += value;
    return old;
  }
  void raise_to(uint32_t* at, uint32_t value) const { *at = std::max(*at, value); }
  uint32_t take(uint32_t* at) const {
    const uint32_t value = *at;
    *at = 0;
    return value;
  }

 private:
  static int lanes_at(int64_t i, int64_t n) { return static_cast<int>(std::min<int64_t>(Vec::kWidth, n - i)); }

  template <typename Index, typename Weigh>
  static int64_t walk(int64_t count, scores::Weight target, const Index& index, const Weigh& weigh) {
    constexpr int64_t kBlock = 32;
    int64_t i = 0;
    for (; i + kBlock < count; i += kBlock) {
      scores::Weight weight = 0;
      for (int64_t j = i; j < i + kBlock; ++j) weight += weigh(index(j));
      if (weight > target) break;
      target -= weight;
    }
    for (; i + 1 < count; ++i) {
      const scores::Weight weight = weigh(index(i));
      if (weight > target) return index(i);
      target -= weight;
    }
    return index(count - 1);
  }
};

}  // namespace heddle::cpu::HEDDLE_ISA
