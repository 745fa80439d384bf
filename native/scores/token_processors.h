#pragma once

#include "scores/piece.h"
#include "scores/row.h"

// Processors that look at tokens, not at how good they are: see ProcessorKind.

namespace heddle::scores {

/// Calls apply(token, times) once for each token of the vocabulary that stands among `tokens`.
template <typename Team, typename Apply>
HEDDLE_TEAM void each_token(const ScoreRow<Team>& row, const Tokens& tokens, const Apply& apply) {
  const Team& team = row.team;
  uint32_t* const times = row.keys;
  const int64_t vocabulary = row.count;
  const auto is_known = [=](int32_t token) { return token >= 0 && token < vocabulary; };
  team.each(tokens.count, [=](int64_t i) {
    if (is_known(tokens[i])) times[tokens[i]] = 0;
  });
  team.each(tokens.count, [=, &team](int64_t i) {
    if (is_known(tokens[i])) team.add_to(&times[tokens[i]], 1);
  });
  team.each(tokens.count, [=, &team](int64_t i) {
    const uint32_t n = is_known(tokens[i]) ? team.take(&times[tokens[i]]) : 0;
    if (n > 0) apply(tokens[i], n);
  });
}

template <typename Team>
HEDDLE_TEAM void penalize_repetition(const ScoreRow<Team>& row, const Tokens& tokens, float penalty) {
  float* const x = row.scores;
  each_token(row, tokens, [=](int32_t t, uint32_t) { x[t] = x[t] < 0 ? x[t] * penalty : x[t] / penalty; });
}

template <typename Team>
HEDDLE_TEAM void penalize_frequency(const ScoreRow<Team>& row, const Tokens& tokens, float frequency, float presence) {
  float* const x = row.scores;
  each_token(row, tokens,
             [=](int32_t t, uint32_t times) { x[t] = x[t] - frequency * static_cast<float>(times) - presence; });
}

template <typename Team>
HEDDLE_TEAM void add_biases(const ScoreRow<Team>& row, const Piece& piece, const Tokens& history) {
  float* const x = row.scores;
  row.team.each(piece.words[0], [=](int64_t g) {
    int64_t at = piece.words[1 + g];
    const int32_t token = piece.words[at], count = piece.words[at + 1];
    at += 2;
    float sum = 0;
    for (int32_t b = 0; b < count; ++b) {
      const int32_t prefix = piece.words[at + 1];
      // As in the reference, a sequence counts once the history is no shorter than it, not than its prefix.
      const bool fits = prefix == 0 || prefix < history.count;
      if (fits && history.ends_with(piece.words + at + 2, prefix)) sum += piece.real(at);
      at += 2 + prefix;
    }
    x[token] += sum;
  });
}

/// Drops what would make n tokens that stand in `tokens`: those that follow there what the history ends with.
template <typename Team>
HEDDLE_TEAM void forbid_ngrams(const ScoreRow<Team>& row, const Tokens& tokens, const Tokens& history, int64_t n) {
  if (history.count < n - 1 || tokens.count < n) return;
  const Tokens end = history.from(history.count - (n - 1));
  const int64_t vocabulary = row.count;
  float* const x = row.scores;
  row.team.each(tokens.count - n + 1, [=](int64_t i) {
    for (int64_t j = 0; j < n - 1; ++j) {
      if (tokens[i + j] != end[j]) return;
    }
    const int32_t next = tokens[i + n - 1];
    if (next >= 0 && next < vocabulary) x[next] = kRemoved;
  });
}

struct Dry {
  float multiplier;
  float base;
  int64_t allowed;  // tokens that may repeat
  Tokens breakers;
};

/// How many tokens before place i are those that the history ends with, the one at i included.
HEDDLE_HOST_DEVICE int64_t repetition_at(const Tokens& history, int64_t i, const Tokens& breakers) {
  constexpr int64_t kLongest = 50;  // as in the reference: powers beyond say nothing more
  const int64_t last = history.count - 1;
  int64_t n = 0;
  while (n < kLongest && n <= i && history[i - n] == history[last - n] && !breakers.contains(history[last - n])) ++n;
  return n;
}

template <typename Team>
HEDDLE_TEAM void penalize_continuations(const ScoreRow<Team>& row, const Tokens& history, const Dry& dry) {
  const Team& team = row.team;
  uint32_t* const longest = row.keys;
  float* const x = row.scores;
  const int64_t vocabulary = row.count, places = history.count - 1;
  // Place i holds a token that came before; what came next would continue a repetition.
  const auto next_of = [=](int64_t i) {
    const int32_t next = history[i + 1];
    return next >= 0 && next < vocabulary && !dry.breakers.contains(next) ? next : -1;
  };
  team.each(places, [=](int64_t i) {
    const int32_t next = next_of(i);
    if (next >= 0) longest[next] = 0;
  });
  team.each(places, [=, &team](int64_t i) {
    const int32_t next = next_of(i);
    const int64_t n = next < 0 ? 0 : repetition_at(history, i, dry.breakers);
    if (n > 0) team.raise_to(&longest[next], static_cast<uint32_t>(n));
  });
  team.each(places, [=, &team](int64_t i) {
    const int32_t next = next_of(i);
    const int64_t n = next < 0 ? 0 : team.take(&longest[next]);
    if (n == 0 || n < dry.allowed) return;
    x[next] -=
        static_cast<float>(dry.multiplier * pow(static_cast<double>(dry.base), static_cast<double>(n - dry.allowed)));
  });
}

/// These tokens have 0, all others -∞.
template <typename Team>
HEDDLE_TEAM void force(const ScoreRow<Team>& row, const int32_t* tokens, int64_t n) {
  float* const x = row.scores;
  row.keep([](int64_t) { return false; });
  row.team.each(n, [=](int64_t i) { x[tokens[i]] = 0; });
}

template <typename Team>
HEDDLE_TEAM void remove_invalid(const ScoreRow<Team>& row) {
  constexpr float kLargest = 0x1.fffffep127f;
  const float* const x = row.scores;
  row.team.fill(row.scores, row.count, [=](int64_t i) {
    const float bounded = x[i] > kLargest ? kLargest : x[i] < -kLargest ? -kLargest : x[i];
    return x[i] != x[i] ? 0.0f : bounded;
  });
}

template <typename Team>
HEDDLE_TEAM void raise_ends(const ScoreRow<Team>& row, const int32_t* tokens, int64_t n, double power) {
  const auto factor = static_cast<float>(power - 1);
  float* const x = row.scores;
  row.team.each(n, [=](int64_t i) {
    float& score = x[tokens[i]];
    if (score != kRemoved) score += fabsf(score) * factor;
  });
}

}  // namespace heddle::scores
