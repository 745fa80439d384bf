#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/team.h"
#include "ops/sample.h"
#include "scores/choice.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 512;

struct Draw {
  int64_t count;
  float target_surprise;
  float learning_rate;
  const float* scores;
  const int32_t* keys;
  const int32_t* steps;
  float* weights;
  float* mu;
  int32_t* out;
  float* log_probs;
};

/// A block a row.
HEDDLE_KERNEL(kThreads) draw_tokens(Draw p, unsigned long long* failure) {
  HEDDLE_SHARED(TeamMemory, memory);
  const BlockTeam team{memory};
  const int64_t row = block_x();
  const double uniform = scores::uniform_of(p.keys + row * 3, p.steps[row], PhiloxUse::kSample);
  const scores::Drawn drawn = scores::draw(team, p.scores + row * p.count, p.count, uniform, p.weights + row * p.count);
  if (thread_index() > 0) return;
  if (drawn.token < 0) {
    report(failure, Fault::kIndex, row, 0);
    p.out[row] = 0;
    return;
  }
  p.out[row] = drawn.token;
  if (p.log_probs) p.log_probs[row] = static_cast<float>(drawn.log_probability);
  if (p.mu) p.mu[row] -= scores::surprise_error(drawn, p.target_surprise) * p.learning_rate;
}

HEDDLE_KERNEL(kThreads)
end_rows(int64_t rows, int64_t num_ends, int32_t pad, const int32_t* chosen, const int32_t* ends, int32_t* tokens,
         int32_t* finished) {
  for (int64_t b = thread_index(); b < rows; b += kThreads) {
    if (finished[b]) {
      tokens[b] = pad;
      continue;
    }
    const int32_t token = chosen[b];
    tokens[b] = token;
    for (int64_t e = 0; e < num_ends; ++e) {
      if (ends[e] == token) finished[b] = 1;
    }
  }
}

}  // namespace

Status run(const Sample& op, CudaContext& context) {
  const int64_t rows = op.scores->shape[0], count = op.scores->shape[1];
  if (rows == 0) return kSuccess;
  auto* const weights =
      static_cast<float*>(context.allocate(context.owner, static_cast<size_t>(rows * count) * sizeof(float)));
  if (!weights) return kOutOfMemory;
  const Draw parameters{count,
                        op.target_surprise,
                        op.learning_rate,
                        op.scores->data<float>(),
                        op.keys->data<int32_t>(),
                        op.steps->data<int32_t>(),
                        weights,
                        op.mu ? op.mu->data<float>() : nullptr,
                        op.out->data<int32_t>(),
                        op.log_probs ? op.log_probs->data<float>() : nullptr};
  return launch(draw_tokens, {rows, kThreads}, context, parameters, context.failure);
}

Status run(const EndOfSequence& op, CudaContext& context) {
  return launch(end_rows, {1, kThreads}, context, op.tokens->numel(), op.ends->numel(), op.pad,
                op.chosen->data<int32_t>(), op.ends->data<int32_t>(), op.tokens->data<int32_t>(),
                op.finished->data<int32_t>());
}

}  // namespace heddle::cuda
