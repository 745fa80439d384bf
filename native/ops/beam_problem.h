#pragma once

#include <cmath>
#include <cstring>

#include "core/host_device.h"
#include "ops/beam.h"

namespace heddle {

/// One problem of a BeamStep, as kernels of both devices see it: what the op says of the rows of its tensors.
struct BeamProblem {
  int64_t beams;
  int64_t vocabulary;
  int64_t num_candidates;
  int64_t num_ends;
  int32_t first_row;
  int32_t pad;
  EarlyStopping early_stopping;
  double length_penalty;
  int64_t max_steps;
  int32_t step;
  const float* scores;
  int32_t* candidates;  // a copy: they are put in order
  const int32_t* ends;
  float* sums;
  int32_t* hypotheses;
  int32_t* count;
  int32_t* done;
  int32_t* tokens;
  int32_t* sources;

  HEDDLE_HOST_DEVICE bool is_end(int32_t token) const {
    for (int64_t e = 0; e < num_ends; ++e) {
      if (ends[e] == token) return true;
    }
    return false;
  }

  HEDDLE_HOST_DEVICE double score_of(int64_t slot) const {
    double score;
    memcpy(&score, hypotheses + 4 * slot, sizeof score);
    return score;
  }

  HEDDLE_HOST_DEVICE int64_t worst() const {
    int64_t found = 0;
    for (int64_t slot = 1; slot < *count; ++slot) {
      if (score_of(slot) < score_of(found)) found = slot;
    }
    return found;
  }

  HEDDLE_HOST_DEVICE double penalized(float sum, int64_t length) const {
    return static_cast<double>(sum) / pow(static_cast<double>(length), length_penalty);
  }

  HEDDLE_HOST_DEVICE void add_hypothesis(float sum, int32_t row) {
    const double score = penalized(sum, step + 1);
    int64_t slot = *count;
    if (slot == beams) {
      slot = worst();
      if (!(score > score_of(slot))) return;
    } else {
      ++*count;
    }
    memcpy(hypotheses + 4 * slot, &score, sizeof score);
    hypotheses[4 * slot + 2] = step;
    hypotheses[4 * slot + 3] = row;
  }

  HEDDLE_HOST_DEVICE bool is_done(float best) const {
    if (*count < beams) return false;
    if (early_stopping == EarlyStopping::kYes) return true;
    const bool at_any_length = early_stopping == EarlyStopping::kNever && length_penalty > 0;
    return score_of(worst()) >= penalized(best, at_any_length ? max_steps : step + 1);
  }

  /// The best first; equals stay in order. False if one is NaN.
  HEDDLE_HOST_DEVICE bool sort() {
    for (int64_t i = 0; i < num_candidates; ++i) {
      const int32_t candidate = candidates[i];
      const float score = scores[candidate];
      if (score != score) return false;
      int64_t at = i;
      for (; at > 0 && scores[candidates[at - 1]] < score; --at) candidates[at] = candidates[at - 1];
      candidates[at] = candidate;
    }
    return true;
  }

  /// False if there is no telling which candidates are the best.
  HEDDLE_HOST_DEVICE bool run() {
    if (*done) {
      for (int32_t beam = 0; beam < beams; ++beam) {
        sums[beam] = 0;
        tokens[beam] = pad;
        sources[beam] = first_row + beam;
      }
      return true;
    }
    if (!sort()) return false;
    const float best = scores[candidates[0]];
    int64_t beam = 0;
    for (int64_t rank = 0; rank < num_candidates && beam < beams; ++rank) {
      const int32_t candidate = candidates[rank], token = static_cast<int32_t>(candidate % vocabulary);
      const int32_t row = first_row + static_cast<int32_t>(candidate / vocabulary);
      if (is_end(token)) {
        if (rank < beams) add_hypothesis(scores[candidate], row);
        continue;
      }
      sums[beam] = scores[candidate];
      tokens[beam] = token;
      sources[beam++] = row;
    }
    *done = is_done(best);
    return true;
  }
};

}  // namespace heddle
