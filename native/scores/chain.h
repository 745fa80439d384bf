#pragma once

#include "ops/process_logits.h"
#include "scores/choice.h"
#include "scores/piece.h"
#include "scores/token_processors.h"
#include "scores/warpers.h"

namespace heddle::scores {

/// A chain and what it reads, as pointers: the op as kernels see it. Null, or 0, for what is absent.
struct Chain {
  int64_t words;
  int64_t num_sequences;  // R
  int64_t num_rows;       // N
  int64_t vocabulary;
  int64_t history_room;
  int64_t num_sources;
  int64_t source_room;
  int64_t num_groups;  // B
  int64_t group_size;
  const float* logits;
  const int32_t* code;
  const int32_t* rows;
  const int32_t* history;
  const int32_t* lengths;
  const int32_t* prompt_lengths;
  const int32_t* max_lengths;
  const int32_t* source;
  const int32_t* source_lengths;
  const int32_t* group_tokens;
  const int32_t* keys;
  const int32_t* steps;
  const float* mu;
  float* out;

  static Chain of(const ProcessLogits& op) {
    const auto ints = [](const Tensor* t) -> const int32_t* { return t ? t->data<int32_t>() : nullptr; };
    const auto size = [](const Tensor* t, int axis) { return t ? t->shape[axis] : 0; };
    return {op.code->shape[0],        op.logits->shape[0],
            op.out->shape[0],         op.logits->shape[1],
            size(op.history, 1),      size(op.source, 0),
            size(op.source, 1),       size(op.group_tokens, 0),
            size(op.group_tokens, 1), op.logits->data<float>(),
            op.code->data<int32_t>(), ints(op.rows),
            ints(op.history),         ints(op.lengths),
            ints(op.prompt_lengths),  ints(op.max_lengths),
            ints(op.source),          ints(op.source_lengths),
            ints(op.group_tokens),    ints(op.keys),
            ints(op.steps),           op.mu ? op.mu->data<float>() : nullptr,
            op.out->data<float>()};
  }

  HEDDLE_HOST_DEVICE int64_t sequence_of(int64_t row) const { return rows ? rows[row] : row; }
};

/// What is wrong with the data of a row.
struct Wrong {
  bool found;
  Fault fault;
  int64_t index;
  int32_t value;
};

HEDDLE_HOST_DEVICE Wrong wrong_with(const Chain& c, int64_t row) {
  const int64_t r = c.sequence_of(row);
  if (r < 0 || r >= c.num_sequences) return {true, Fault::kIndex, row, static_cast<int32_t>(r)};
  const auto is_wrong = [](int32_t length, int64_t room) { return length < 0 || length > room; };
  if (c.lengths && is_wrong(c.lengths[r], c.history_room)) return {true, Fault::kLength, r, c.lengths[r]};
  if (c.prompt_lengths && is_wrong(c.prompt_lengths[r], c.history_room)) {
    return {true, Fault::kLength, r, c.prompt_lengths[r]};
  }
  if (!c.source) return {};
  const int64_t s = r / (c.num_sequences / c.num_sources);
  if (is_wrong(c.source_lengths[s], c.source_room)) return {true, Fault::kLength, r, c.source_lengths[s]};
  return {};
}

/// Of a row with nothing wrong.
HEDDLE_HOST_DEVICE Sequence sequence_of(const Chain& c, int64_t row) {
  const int64_t r = c.sequence_of(row);
  Sequence sequence;
  if (c.lengths) sequence.history.count = c.lengths[r];
  if (c.history) sequence.history.ids = c.history + r * c.history_room;
  if (c.prompt_lengths) sequence.prompt_length = c.prompt_lengths[r];
  if (c.max_lengths) sequence.max_length = c.max_lengths[r];
  if (c.source) {
    const int64_t s = r / (c.num_sequences / c.num_sources);
    sequence.source = {c.source + s * c.source_room, c.source_lengths[s]};
  }
  if (c.group_tokens) {
    const int64_t b = row / (c.num_rows / c.num_groups);
    sequence.group = {c.group_tokens + b * c.group_size, c.group_size};
  }
  if (c.keys) sequence.uniform = uniform_of(c.keys + r * 3, c.steps[r], PhiloxUse::kXtc);
  if (c.mu) sequence.mu = c.mu[r];
  return sequence;
}

template <typename Team>
HEDDLE_TEAM void apply(const ScoreRow<Team>& row, ProcessorKind kind, const Piece& p, const Sequence& sequence) {
  const Tokens& history = sequence.history;
  const int32_t* const words = p.words;
  switch (kind) {
    case ProcessorKind::kLogSoftmax:
      return log_softmax(row);
    case ProcessorKind::kBias:
      return add_biases(row, p, history);
    case ProcessorKind::kRepetitionPenalty:
      return penalize_repetition(row, history.last(words[1]), p.real(0));
    case ProcessorKind::kEncoderRepetitionPenalty:
      return penalize_repetition(row, sequence.source, p.real(0));
    case ProcessorKind::kFrequencyPenalty: {
      const Tokens tokens = words[3] ? history.from(sequence.prompt_length) : history;
      return penalize_frequency(row, tokens.last(words[2]), p.real(0), p.real(1));
    }
    case ProcessorKind::kHammingDiversity:
      return penalize_frequency(row, sequence.group, p.real(0), 0);
    case ProcessorKind::kNoRepeatNgram:
      return forbid_ngrams(row, history, history, words[0]);
    case ProcessorKind::kEncoderNoRepeatNgram:
      return forbid_ngrams(row, sequence.source, history, words[0]);
    case ProcessorKind::kDry:
      return penalize_continuations(row, history.last(words[3]),
                                    Dry{p.real(0), p.real(1), words[2], Tokens{words + 4, p.size - 4}});
    case ProcessorKind::kMinLength:
      if (history.count < words[0]) row.remove(words + 1, p.size - 1);
      return;
    case ProcessorKind::kMinNewTokens:
      if (sequence.generated() < words[0]) row.remove(words + 1, p.size - 1);
      return;
    case ProcessorKind::kForcedBos:
      if (history.count == 1) force(row, words, 1);
      return;
    case ProcessorKind::kForcedEos:
      if (history.count == sequence.max_length - 1) force(row, words, p.size);
      return;
    case ProcessorKind::kSuppress:
      return row.remove(words, p.size);
    case ProcessorKind::kBeginSuppress: {
      const int64_t at = words[0] && sequence.prompt_length == 1 ? 1 : 0;
      if (sequence.generated() == at) row.remove(words + 1, p.size - 1);
      return;
    }
    case ProcessorKind::kRemoveInvalid:
      return remove_invalid(row);
    case ProcessorKind::kExponentialDecay: {
      const int64_t beyond = sequence.generated() - words[0];
      if (beyond > 0) raise_ends(row, words + 3, p.size - 3, pow(p.wide(1), static_cast<double>(beyond)));
      return;
    }
    case ProcessorKind::kTemperature:
      return divide_by(row, p.real(0), 0);
    case ProcessorKind::kDynamicTemperature:
      return apply_dynamic_temperature(row, p.real(0), p.real(1), p.real(2));
    case ProcessorKind::kTopK:
      return keep_top_k(row, words[0]);
    case ProcessorKind::kTopP:
      return keep_top_p(row, p.real(0), words[1]);
    case ProcessorKind::kMinP:
      return keep_min_p(row, p.real(0), words[1]);
    case ProcessorKind::kTypical:
      return keep_typical(row, p.real(0), words[1]);
    case ProcessorKind::kEpsilonCutoff:
      return keep_above_epsilon(row, p.real(0), words[1]);
    case ProcessorKind::kEtaCutoff:
      return keep_above_eta(row, p.real(0), words[1]);
    case ProcessorKind::kTopNSigma:
      return keep_top_n_sigma(row, p.real(0));
    case ProcessorKind::kXtc:
      if (sequence.uniform < p.real(0)) exclude_top_choices(row, p.real(1));
      return;
    case ProcessorKind::kMirostat:
      return keep_expected_surprise(row, sequence.mu);
    case ProcessorKind::kCount:
      return;
  }
}

/// Copies a row of logits and applies the chain to it. Nothing may be wrong with the row.
template <typename Team>
HEDDLE_TEAM void process_row(const Team& team, const Chain& c, int64_t row, float* weights, uint32_t* keys) {
  const ScoreRow<Team> own{team, c.vocabulary, c.out + row * c.vocabulary, weights, keys};
  const float* const logits = c.logits + c.sequence_of(row) * c.vocabulary;
  team.fill(own.scores, c.vocabulary, [=](int64_t i) { return logits[i]; });
  const Sequence sequence = sequence_of(c, row);
  for (int64_t at = 0; at < c.words;) {
    const int64_t size = c.code[at + 1];
    apply(own, static_cast<ProcessorKind>(c.code[at]), Piece{c.code + at + 2, size}, sequence);
    at += 2 + size;
  }
}

}  // namespace heddle::scores
