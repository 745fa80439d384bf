#include "ops/beam.h"

#include <algorithm>
#include <cmath>

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

void check_int32(const char* name, const Tensor* x, const Shape& shape) {
  check_strided(BeamStep::kName, name, x);
  check_dtype(BeamStep::kName, name, x, DType::kInt32);
  check_shape(BeamStep::kName, name, x, shape);
  check_dense(BeamStep::kName, name, x);
}

void check_float32(const char* function, const char* name, const Tensor* x) {
  check_strided(function, name, x);
  check_dtype(function, name, x, DType::kFloat32);
  check_rank(function, name, x, 2, 2);
}

}  // namespace

void beam_step(Runtime& runtime, BeamStep op) {
  const char* const function = BeamStep::kName;
  check_float32(function, "sums", op.sums);
  check_dense(function, "sums", op.sums);
  const int64_t problems = op.sums->shape[0], beams = op.sums->shape[1];
  check_float32(function, "scores", op.scores);
  if (beams < 1 || op.scores->shape[0] != problems || op.scores->shape[1] % beams != 0) {
    throw_range_error("[", function, "] scores must have shape [", problems, ", ", beams, " · V] but have ",
                      op.scores->shape);
  }
  check_int32_vector(function, "ends", op.ends, op.ends->numel());
  check_rank(function, "candidates", op.candidates, 2, 2);
  check_int32("candidates", op.candidates, Shape{problems, op.candidates->shape[1]});
  const int64_t wanted = std::max<int64_t>(2, 1 + op.ends->numel()) * beams;
  if (op.candidates->shape[1] < wanted) {
    throw_range_error("[", function, "] ", beams, " beams and ", op.ends->numel(), " end tokens need ", wanted,
                      " candidates but got ", op.candidates->shape[1]);
  }
  check_int32("hypotheses", op.hypotheses, Shape{problems, beams, 4});
  check_int32_vector(function, "counts", op.counts, problems);
  check_int32_vector(function, "done", op.done, problems);
  check_int32_vector(function, "steps", op.steps, 1);
  check_int32_vector(function, "tokens", op.tokens, problems * op.rows_per_problem);
  check_int32_vector(function, "sources", op.sources, problems * op.rows_per_problem);
  if (op.first_row < 0 || op.first_row + beams > op.rows_per_problem) {
    throw_range_error("[", function, "] rows ", op.first_row, " to ", op.first_row + beams - 1, " must be among the ",
                      op.rows_per_problem, " of a prompt");
  }
  op.scores = dense(runtime, op.scores);
  runtime.submit(op);
}

void BeamStep::fail(int64_t problem) const {
  throw Error(ErrorKind::kRange, "NO_CHOICE",
              concat("[", kName, "] the scores of beam problem ", problem, " have NaN: nothing can be chosen"));
}

Tensor* gumbel_noise(Runtime& runtime, GumbelNoise op) {
  const char* const function = GumbelNoise::kName;
  check_float32(function, "x", op.x);
  const int64_t rows = op.x->shape[0];
  check_strided(function, "keys", op.keys);
  check_dtype(function, "keys", op.keys, DType::kInt32);
  check_shape(function, "keys", op.keys, Shape{rows, 3});
  check_dense(function, "keys", op.keys);
  check_int32_vector(function, "steps", op.steps, 1);
  op.x = dense(runtime, op.x);
  op.out = runtime.make(op.x, DType::kFloat32, op.x->shape);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
