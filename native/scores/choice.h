#pragma once

#include "core/philox.h"
#include "scores/row.h"

namespace heddle::scores {

struct Drawn {
  int32_t token;  // -1: nothing can be drawn
  double log_probability;
};

/// The token that a uniform number in [0, 1) draws from softmax(scores), tokens in the order of their ids.
template <typename Team>
HEDDLE_TEAM Drawn draw(const Team& team, const float* scores, int64_t count, double uniform, float* weights) {
  Normalizer n;
  if (!weigh(team, scores, count, weights, n)) return {-1, 0};
  const Weight total = total_weight(team, weights, count);
  const auto wanted = static_cast<Weight>(uniform * static_cast<double>(total));
  const Weight target = wanted < total ? wanted : total - 1;
  const auto token = static_cast<int32_t>(team.find(nullptr, weights, count, target));
  return {token, static_cast<double>(scores[token] - n.top) - n.log_mass};
}

/// The number in [0, 1) of a sequence's step; key [3] as Sample has it.
HEDDLE_HOST_DEVICE double uniform_of(const int32_t* key, int32_t step, PhiloxUse use) {
  return philox(static_cast<uint32_t>(key[0]), static_cast<uint32_t>(key[1]), static_cast<uint32_t>(step),
                static_cast<uint32_t>(key[2]), 0, use)
      .uniform();
}

/// By how many bits the token drawn surprises more than it should.
HEDDLE_HOST_DEVICE float surprise_error(const Drawn& drawn, float target) {
  constexpr double kLog2e = 1.4426950408889634;
  return static_cast<float>(-drawn.log_probability * kLog2e - static_cast<double>(target));
}

/// What TokenReport gives for a row: out [2 + 2n]. Scratch: weights [count], keys [count], best [n + 1].
template <typename Team>
HEDDLE_TEAM void report_token(const Team& team, const float* scores, int64_t count, int32_t token, int64_t n,
                              int32_t* out, float* weights, uint32_t* keys, uint64_t* best) {
  Normalizer normalizer;
  const bool valid = weigh(team, scores, count, weights, normalizer);
  const double entropy = valid ? entropy_of(team, scores, count, weights, normalizer) : static_cast<double>(NAN);
  const auto log_probability = [=](int64_t i) {
    const double value = static_cast<double>(scores[i] - normalizer.top) - normalizer.log_mass;
    return valid ? static_cast<float>(value) : NAN;
  };
  const auto write = [=](int64_t at, float value) { memcpy(out + at, &value, sizeof value); };
  team.each(1, [=](int64_t) {
    write(0, log_probability(token));
    write(1, static_cast<float>(entropy));
    best[n] = 0;  // how many have been found
  });
  if (n == 0) return;

  // The best come in any order, and each counts those before it.
  team.fill(keys, count, [=](int64_t i) { return ~rank_of(scores[i]); });
  const uint64_t last = team.find(keys, nullptr, count, static_cast<Weight>(n - 1));
  auto* const found = reinterpret_cast<uint32_t*>(best + n);
  team.each(count, [=, &team](int64_t i) {
    const uint64_t own = place_of(keys[i], i);
    if (own <= last) best[team.add_to(found, 1)] = own;
  });
  team.each(n, [=](int64_t i) {
    int64_t at = 0;
    for (int64_t j = 0; j < n; ++j) at += best[j] < best[i];
    const auto id = static_cast<int32_t>(static_cast<uint32_t>(best[i]));
    out[2 + 2 * at] = id;
    write(3 + 2 * at, log_probability(id));
  });
}

}  // namespace heddle::scores
