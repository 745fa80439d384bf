#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

enum class EarlyStopping : int32_t {
  kNo,     // when no running beam can do better at its present length
  kYes,    // as soon as there are enough hypotheses
  kNever,  // when no running beam can do better at any length
};

/// One step of beam search (Sutskever et al., 2014, section 3.2; Graves, 2012), as the reference implementation has it:
/// P problems on their own, each of K beams. A problem is a prompt, or a group of a prompt's beams.
///
///   scores      [P, K · V] float32: entry beam · V + token is the beam's sum of log-probabilities with that token
///   candidates  [P, C] int32: which entries are looked at, C ≥ max(2, 1 + E) · K in any order; the best first, of
///               equals the one that stands first
///   ends        [E] int32
///   sums        [P, K] float32, in place: of the running beams
///   hypotheses  [P, K, 4] int32, in place: low and high half of a float64 score; the step at which it ended, counted
///               from 0; the row that it ended
///   counts      [P] int32, in place: hypotheses held
///   done        [P] int32, in place: 1 where the problem is done
///   steps       [1] int32, in place: how many steps were done before
///   tokens      [R] int32, in place in the problems' rows: what each beam reads next; `pad` where the problem is done
///   sources     [R] int32, the same: which row each beam goes on from; its own where the problem is done
///
/// The rows of problem p are p · rows_per_problem + first_row + beam: groups of one prompt lie side by side.
/// A hypothesis' score is its sum over (its new tokens, end token included) ^ length_penalty. An end token counts only
/// among the first K candidates. K hypotheses are kept: a better one replaces the worst. A problem is done by the rule
/// of `early_stopping`, where max_steps is what kNever counts with.
///
/// A NaN among the best candidates fails when the op runs: NO_CHOICE.
struct BeamStep {
  static constexpr const char* kName = "beam_step";
  const Tensor* scores;
  const Tensor* candidates;
  const Tensor* ends;
  Tensor* sums;
  Tensor* hypotheses;
  Tensor* counts;
  Tensor* done;
  Tensor* steps;
  Tensor* tokens;
  Tensor* sources;
  int64_t rows_per_problem;
  int64_t first_row;
  int32_t pad;
  EarlyStopping early_stopping;
  double length_penalty;
  int64_t max_steps;

  std::array<const Tensor*, 10> reads() const {
    return {scores, candidates, ends, sums, hypotheses, counts, done, steps, tokens, sources};
  }
  std::array<Tensor*, 7> writes() const { return {sums, hypotheses, counts, done, steps, tokens, sources}; }

  [[noreturn]] void fail(int64_t problem) const;
};

/// Throws RangeError where there are too few candidates, and for shapes that do not fit.
void beam_step(Runtime& runtime, BeamStep op);

/// out = x + Gumbel noise: the k largest of a row are k draws without replacement from softmax(x) (Kool et al., 2019,
/// section 2.3).
///
///   x, out  [B, V] float32
///   keys    [B, 3] int32: as Sample's
///   steps   [1] int32: the counter
struct GumbelNoise {
  static constexpr const char* kName = "gumbel_noise";
  const Tensor* x;
  const Tensor* keys;
  const Tensor* steps;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {x, keys, steps}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* gumbel_noise(Runtime& runtime, GumbelNoise op);

}  // namespace heddle
