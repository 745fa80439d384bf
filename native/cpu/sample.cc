#include "ops/sample.h"

#include <algorithm>

#include "core/allocator.h"
#include "core/philox.h"
#include "cpu/kernels.h"
#include "cpu/team.h"
#include "scores/choice.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const Sample& op, KernelContext& context) {
  const int64_t rows = op.scores->shape[0], count = op.scores->shape[1];
  const float* logits = op.scores->data<float>();
  const int32_t* keys = op.keys->data<int32_t>();
  const int32_t* steps = op.steps->data<int32_t>();
  int32_t* out = op.out->data<int32_t>();
  const Scratch<float> weights(context.allocator, count * context.threads);
  context.parallel_for(rows, static_cast<double>(count) * 2, [&](int64_t row, int worker) {
    const double uniform = scores::uniform_of(keys + row * 3, steps[row], PhiloxUse::kSample);
    const scores::Drawn drawn =
        scores::draw(SoloTeam{nullptr}, logits + row * count, count, uniform, weights.get() + worker * count);
    out[row] = drawn.token;
    if (drawn.token < 0) return;
    if (op.log_probs) op.log_probs->data<float>()[row] = static_cast<float>(drawn.log_probability);
    if (op.mu) op.mu->data<float>()[row] -= scores::surprise_error(drawn, op.target_surprise) * op.learning_rate;
  });
  for (int64_t row = 0; row < rows; ++row) {
    if (out[row] < 0) op.fail(row);
  }
}

void run(const EndOfSequence& op, KernelContext&) {
  const int32_t* chosen = op.chosen->data<int32_t>();
  const int32_t* ends = op.ends->data<int32_t>();
  int32_t* tokens = op.tokens->data<int32_t>();
  int32_t* finished = op.finished->data<int32_t>();
  for (int64_t b = 0; b < op.tokens->numel(); ++b) {
    tokens[b] = finished[b] ? op.pad : chosen[b];
    if (!finished[b]) finished[b] = std::find(ends, ends + op.ends->numel(), tokens[b]) != ends + op.ends->numel();
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
