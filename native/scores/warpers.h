#pragma once

#include "scores/row.h"

// Processors that look at how good tokens are: see ProcessorKind. Those that drop tokens find where to cut by a select
// over 32-bit keys, so nothing is sorted.

namespace heddle::scores {

template <typename Team>
HEDDLE_TEAM_CALL void log_softmax(const ScoreRow<Team>& row) {
  Normalizer n;
  const bool valid = row.weigh(n);
  const float top = valid ? n.top : NAN, log_mass = valid ? static_cast<float>(n.log_mass) : 0;
  const float* const x = row.scores;
  row.team.fill(row.scores, row.count, [=](int64_t i) { return (x[i] - top) - log_mass; });
}

/// At 0 the best stay as they are.
template <typename Team>
HEDDLE_TEAM void divide_by(const ScoreRow<Team>& row, float temperature, float top) {
  const float* const x = row.scores;
  if (temperature > 0) {
    row.team.fill(row.scores, row.count, [=](int64_t i) { return x[i] / temperature; });
  } else {
    row.keep([=](int64_t i) { return x[i] == top; });
  }
}

template <typename Team>
HEDDLE_TEAM_CALL void apply_dynamic_temperature(const ScoreRow<Team>& row, float low, float high, float exponent) {
  Normalizer n;
  if (!row.weigh(n)) return;
  const float* const x = row.scores;
  const auto is_there = [=](int64_t i) { return x[i] > kRemoved ? 1.0 : 0.0; };
  const double tokens = row.team.template reduce<double>(row.count, 0, is_there, Add{});
  if (tokens <= 1) return;
  const double share = row.entropy(n) / log(tokens);
  const double spread = pow(share > 0 ? share : 0.0, static_cast<double>(exponent));
  divide_by(row, static_cast<float>(low + (high - low) * spread), n.top);
}

/// The score of the k-th best token, as a rank. NaN-free rows only.
template <typename Team>
HEDDLE_TEAM uint32_t rank_of_best(const ScoreRow<Team>& row, int64_t k) {
  row.rank();
  const Weight worse = static_cast<Weight>(row.count - (k < row.count ? k : row.count));
  return static_cast<uint32_t>(row.team.find(row.keys, nullptr, row.count, worse) >> 32);
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_top_k(const ScoreRow<Team>& row, int64_t k) {
  if (k >= row.count || !(fabsf(row.team.top_of(row.scores, row.count)) < -kRemoved)) return;
  const uint32_t lowest = rank_of_best(row, k);
  const uint32_t* const keys = row.keys;
  row.keep([=](int64_t i) { return keys[i] >= lowest; });
}

/// The mass that `tail` of all weights is, as something that a sum must exceed.
HEDDLE_HOST_DEVICE Weight share_of(float part, Weight total) {
  const auto wanted = static_cast<Weight>(static_cast<double>(part) * static_cast<double>(total));
  return wanted < total ? wanted : total - 1;
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_top_p(const ScoreRow<Team>& row, float tail, int64_t keep) {
  Normalizer n;
  if (!row.weigh(n)) return;
  row.rank();
  const Weight total = row.total_weight();
  uint64_t worst = row.team.find(row.keys, row.weights, row.count, share_of(tail, total));
  if (keep > 1) {
    const Weight others = static_cast<Weight>(row.count - (keep < row.count ? keep : row.count));
    const uint64_t last = row.team.find(row.keys, nullptr, row.count, others);
    worst = last < worst ? last : worst;
  }
  const uint32_t* const keys = row.keys;
  row.keep([=](int64_t i) { return place_of(keys[i], i) >= worst; });
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_min_p(const ScoreRow<Team>& row, float p, int64_t keep) {
  Normalizer n;
  if (!row.weigh(n)) return;
  const float* const w = row.weights;
  if (keep == 1) return row.keep([=](int64_t i) { return w[i] >= p; });
  row.rank_from_best();
  const Weight before = static_cast<Weight>((keep < row.count ? keep : row.count) - 1);
  const uint64_t last = row.team.find(row.keys, nullptr, row.count, before);
  const uint32_t* const keys = row.keys;
  row.keep([=](int64_t i) { return w[i] >= p || place_of(keys[i], i) <= last; });
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_typical(const ScoreRow<Team>& row, float mass, int64_t keep) {
  Normalizer n;
  if (!row.weigh(n)) return;
  const auto entropy = static_cast<float>(row.entropy(n)), log_mass = static_cast<float>(n.log_mass);
  const float top = n.top;
  const float* const x = row.scores;
  uint32_t* const keys = row.keys;
  // How far a token's surprise is from what is expected.
  row.team.fill(keys, row.count, [=](int64_t i) { return rank_of(fabsf(log_mass - (x[i] - top) - entropy)); });
  // Kept is the token at which the sum reaches the mass, and what is as far as it.
  const Weight total = row.total_weight();
  const double wanted = ceil(static_cast<double>(mass) * static_cast<double>(total));
  const Weight reached = wanted > 1 ? static_cast<Weight>(wanted) - 1 : 0;
  const Weight target = reached < total ? reached : total - 1;
  const auto farthest = static_cast<uint32_t>(row.team.find(keys, row.weights, row.count, target) >> 32);
  uint64_t last = 0;
  if (keep > 1) {
    const Weight before = static_cast<Weight>((keep < row.count ? keep : row.count) - 1);
    last = row.team.find(keys, nullptr, row.count, before);
  }
  row.keep([=](int64_t i) { return keys[i] <= farthest || place_of(keys[i], i) <= last; });
}

/// Keeps tokens of at least this probability, and what equals the best `keep`.
template <typename Team>
HEDDLE_TEAM_CALL void keep_probable(const ScoreRow<Team>& row, const Normalizer& n, double cutoff, int64_t keep) {
  const auto lowest = static_cast<float>(cutoff * n.mass);
  const float* const w = row.weights;
  if (keep == 1) {
    const float* const x = row.scores;
    const float top = n.top;
    return row.keep([=](int64_t i) { return w[i] >= lowest || x[i] == top; });
  }
  const uint32_t rank = rank_of_best(row, keep);
  const uint32_t* const keys = row.keys;
  row.keep([=](int64_t i) { return w[i] >= lowest || keys[i] >= rank; });
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_above_epsilon(const ScoreRow<Team>& row, float epsilon, int64_t keep) {
  Normalizer n;
  if (row.weigh(n)) keep_probable(row, n, epsilon, keep);
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_above_eta(const ScoreRow<Team>& row, float epsilon, int64_t keep) {
  Normalizer n;
  if (!row.weigh(n)) return;
  const double eta = sqrt(static_cast<double>(epsilon)) * exp(-row.entropy(n));
  keep_probable(row, n, eta < epsilon ? eta : epsilon, keep);
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_top_n_sigma(const ScoreRow<Team>& row, float sigmas) {
  const Team& team = row.team;
  const float top = team.top_of(row.scores, row.count);
  if (!(fabsf(top) < -kRemoved)) return;
  const float* const x = row.scores;
  const auto is_there = [=](int64_t i) { return x[i] > kRemoved ? 1.0 : 0.0; };
  const auto value = [=](int64_t i) { return x[i] > kRemoved ? static_cast<double>(x[i]) : 0.0; };
  const double tokens = team.template reduce<double>(row.count, 0, is_there, Add{});
  const double mean = team.template reduce<double>(row.count, 0, value, Add{}) / tokens;
  const auto square = [=](int64_t i) {
    const double off = x[i] > kRemoved ? static_cast<double>(x[i]) - mean : 0.0;
    return off * off;
  };
  const double deviation = sqrt(team.template reduce<double>(row.count, 0, square, Add{}) / tokens);
  const auto lowest = static_cast<float>(top - sigmas * deviation);
  row.keep([=](int64_t i) { return x[i] >= lowest; });
}

template <typename Team>
HEDDLE_TEAM_CALL void exclude_top_choices(const ScoreRow<Team>& row, float threshold) {
  Normalizer n;
  if (!row.weigh(n)) return;
  const auto lowest = static_cast<float>(threshold * n.mass);
  const float *const w = row.weights, *const x = row.scores;
  // The least of the top choices: of equals that with the highest id.
  constexpr uint64_t kNone = ~uint64_t{0};
  const auto own = [=](int64_t i) {
    return w[i] >= lowest ? static_cast<uint64_t>(rank_of(x[i])) << 32 | ~static_cast<uint32_t>(i) : kNone;
  };
  const auto lower = [](uint64_t a, uint64_t b) { return a < b ? a : b; };
  const auto least = row.team.template reduce<Weight>(row.count, kNone, own, lower);
  if (least == kNone) return;
  row.keep([=](int64_t i) { return own(i) == kNone || own(i) == least; });
}

template <typename Team>
HEDDLE_TEAM_CALL void keep_expected_surprise(const ScoreRow<Team>& row, float mu) {
  Normalizer n;
  if (!row.weigh(n)) return;
  const auto lowest = static_cast<float>(n.mass * exp2(-static_cast<double>(mu)));
  const float* const w = row.weights;
  if (lowest <= 1) return row.keep([=](int64_t i) { return w[i] >= lowest; });
  row.rank_from_best();
  const auto best = static_cast<int64_t>(static_cast<uint32_t>(row.team.find(row.keys, nullptr, row.count, 0)));
  row.keep([=](int64_t i) { return i == best; });
}

}  // namespace heddle::scores
