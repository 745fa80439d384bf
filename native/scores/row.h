#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/host_device.h"
#include "core/rank.h"

// One row of scores over a vocabulary, and what is asked of it: written once, as templates over the team that works on
// a row. That is one thread of the CPU (cpu/team.h) or a block of the GPU (cuda/team.h). Every member of a team runs
// the same code and gets the same answers from
//
//   each(n, f)                          calls f(i) for all i in [0, n), by any member; then all have
//   fill(to, n, f)                      to[i] = f(i) for all i in [0, n), where no f(i) reads what another one writes
//   reduce(n, zero, f, combine)         combines all f(i), in an order fixed by n
//   top_of(x, n)                        the largest; NaN if there is one
//   weigh(x, top, n, weights)           weights[i] = e^(x[i] - top)
//   find(keys, weights, n, target)      the place, key and index as one number, at which the sum of weights in fixed
//                                       point, in rising order of places, first exceeds `target`. Without keys the
//                                       order is that of the indices, without weights each weighs 1
//
// and from three that act on a word which others may act on at once: add_to and take (0 remains), which return what was
// there, and raise_to (the larger stays).

namespace heddle::scores {

constexpr float kRemoved = -INFINITY;

/// A weight in fixed point: sums are exact and need no order. The best token weighs 2^40, so 2^23 tokens have room.
using Weight = unsigned long long;
HEDDLE_HOST_DEVICE Weight fixed_point(float weight) { return static_cast<Weight>(weight * 0x1p40f); }

struct Add {
  template <typename T>
  HEDDLE_TEAM T operator()(T a, T b) const {
    return a + b;
  }
};

/// What softmax needs: p[i] = weights[i] / mass, ln p[i] = scores[i] - top - log_mass.
struct Normalizer {
  float top;
  double mass;
  double log_mass;
};

/// Fills weights [count]. False where there is no softmax: NaN, or no finite largest score.
template <typename Team>
HEDDLE_TEAM_CALL bool weigh(const Team& team, const float* scores, int64_t count, float* weights, Normalizer& n) {
  n.top = team.top_of(scores, count);
  if (!(fabsf(n.top) < -kRemoved)) return false;
  team.weigh(scores, n.top, count, weights);
  const auto weight = [=](int64_t i) { return static_cast<double>(weights[i]); };
  n.mass = team.template reduce<double>(count, 0, weight, Add{});
  n.log_mass = log(n.mass);
  return true;
}

/// In nats, once weights are there.
template <typename Team>
HEDDLE_TEAM_CALL double entropy_of(const Team& team, const float* scores, int64_t count, const float* weights,
                                   const Normalizer& n) {
  const float top = n.top;
  const auto term = [=](int64_t i) {
    return weights[i] > 0 ? static_cast<double>(weights[i] * (scores[i] - top)) : 0.0;
  };
  return n.log_mass - team.template reduce<double>(count, 0, term, Add{}) / n.mass;
}

template <typename Team>
HEDDLE_TEAM_CALL Weight total_weight(const Team& team, const float* weights, int64_t count) {
  return team.template reduce<Weight>(
      count, 0, [=](int64_t i) { return fixed_point(weights[i]); }, Add{});
}

/// A row that processors change. Scratch is of this row alone.
template <typename Team>
struct ScoreRow {
  const Team& team;
  int64_t count;
  float* scores;
  float* weights;  // scratch
  uint32_t* keys;  // scratch

  HEDDLE_TEAM bool weigh(Normalizer& n) const { return heddle::scores::weigh(team, scores, count, weights, n); }
  HEDDLE_TEAM double entropy(const Normalizer& n) const { return entropy_of(team, scores, count, weights, n); }
  HEDDLE_TEAM Weight total_weight() const { return heddle::scores::total_weight(team, weights, count); }

  /// Keys that rise with the scores.
  HEDDLE_TEAM void rank() const {
    const float* const x = scores;
    team.fill(keys, count, [=](int64_t i) { return rank_of(x[i]); });
  }
  /// Keys that fall with them: of equals the lower id comes first.
  HEDDLE_TEAM void rank_from_best() const {
    const float* const x = scores;
    team.fill(keys, count, [=](int64_t i) { return ~rank_of(x[i]); });
  }

  /// f(i): whether token i stays.
  template <typename Stays>
  HEDDLE_TEAM void keep(const Stays& stays) const {
    const float* const x = scores;
    team.fill(scores, count, [=](int64_t i) { return stays(i) ? x[i] : kRemoved; });
  }
  HEDDLE_TEAM void remove(const int32_t* tokens, int64_t n) const {
    float* const x = scores;
    team.each(n, [=](int64_t i) { x[tokens[i]] = kRemoved; });
  }
};

/// One number that rises with a key, and of equal keys with the index.
HEDDLE_HOST_DEVICE uint64_t place_of(uint32_t key, int64_t index) {
  return static_cast<uint64_t>(key) << 32 | static_cast<uint32_t>(index);
}

}  // namespace heddle::scores
