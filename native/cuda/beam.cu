#include "core/philox.h"
#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/strided.h"
#include "ops/beam.h"
#include "ops/beam_problem.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// A thread a problem; `first` is the first one. `candidates` is scratch with a copy of the op's.
HEDDLE_KERNEL(kThreads)
beam_step(HEDDLE_PARAMETER BeamProblem first, int64_t problems, int64_t rows_per_problem, const int32_t* candidates,
          int32_t* steps, unsigned long long* failure) {
  const int32_t step = *steps;
  sync_block();  // all have read it
  for (int64_t p = thread_index(); p < problems; p += kThreads) {
    BeamProblem problem = first;
    problem.step = step;
    problem.first_row += static_cast<int32_t>(p * rows_per_problem);
    problem.scores += p * first.beams * first.vocabulary;
    problem.candidates += p * first.num_candidates;
    problem.sums += p * first.beams;
    problem.hypotheses += p * first.beams * 4;
    problem.count += p;
    problem.done += p;
    problem.tokens += p * rows_per_problem;
    problem.sources += p * rows_per_problem;
    for (int64_t i = 0; i < first.num_candidates; ++i) {
      problem.candidates[i] = candidates[p * first.num_candidates + i];
    }
    if (!problem.run()) report(failure, Fault::kIndex, p, 0);
  }
  if (thread_index() == 0) *steps = step + 1;
}

HEDDLE_KERNEL(kElementThreads)
add_noise(int64_t width, const uint32_t* all_keys, const uint32_t* step, const float* x, float* out) {
  const int64_t row = block_y();
  const uint32_t* const keys = all_keys + row * 3;
  for_each<int64_t>((width + 3) / 4, [&](int64_t block) {
    const PhiloxWords words =
        philox(keys[0], keys[1], *step, keys[2], static_cast<uint32_t>(block), PhiloxUse::kGumbel);
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int64_t at = row * width + 4 * block + j;
      if (4 * block + j < width) out[at] = x[at] - logf(-log1pf(-words.open_unit(j)));
    }
  });
}

}  // namespace

Status run(const BeamStep& op, CudaContext& context) {
  const int64_t problems = op.sums->shape[0], beams = op.sums->shape[1], count = op.candidates->shape[1];
  if (problems == 0) return kSuccess;
  auto* const scratch = static_cast<int32_t*>(context.allocate(context.owner, sizeof(int32_t) * problems * count));
  if (!scratch) return kOutOfMemory;
  const BeamProblem first{beams,
                          op.scores->shape[1] / beams,
                          count,
                          op.ends->numel(),
                          static_cast<int32_t>(op.first_row),
                          op.pad,
                          op.early_stopping,
                          op.length_penalty,
                          op.max_steps,
                          0,
                          op.scores->data<float>(),
                          scratch,
                          op.ends->data<int32_t>(),
                          op.sums->data<float>(),
                          op.hypotheses->data<int32_t>(),
                          op.counts->data<int32_t>(),
                          op.done->data<int32_t>(),
                          op.tokens->data<int32_t>() + op.first_row,
                          op.sources->data<int32_t>() + op.first_row};
  return launch(beam_step, {1, kThreads}, context, first, problems, op.rows_per_problem, op.candidates->data<int32_t>(),
                op.steps->data<int32_t>(), context.failure);
}

Status run(const GumbelNoise& op, CudaContext& context) {
  const int64_t rows = op.x->shape[0], width = op.x->shape[1];
  Grid grid = grid_for(ceil_div(width, 4));
  grid.blocks_y = rows;
  return launch(add_noise, grid, context, width, op.keys->data<uint32_t>(), op.steps->data<uint32_t>(),
                op.x->data<float>(), op.out->data<float>());
}

}  // namespace heddle::cuda
