#include "ops/token_report.h"

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/team.h"
#include "scores/choice.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const TokenReport& op, KernelContext& context) {
  const int64_t rows = op.logits->shape[0], count = op.logits->shape[1], n = op.alternatives;
  const float* logits = op.logits->data<float>();
  const int32_t* tokens = op.tokens->data<int32_t>();
  for (int64_t row = 0; row < rows; ++row) {
    if (tokens[row] < 0 || tokens[row] >= count) op.fail(row, tokens[row]);
  }
  const Scratch<float> weights(context.allocator, count * context.threads);
  const Scratch<uint32_t> keys(context.allocator, count * context.threads);
  const Scratch<int32_t> candidates(context.allocator, count * context.threads);
  const Scratch<uint64_t> best(context.allocator, (n + 1) * context.threads);
  context.parallel_for(rows, static_cast<double>(count) * 4, [&](int64_t row, int worker) {
    const SoloTeam team{candidates.get() + worker * count};
    scores::report_token(team, logits + row * count, count, tokens[row], n, op.out->data<int32_t>() + row * (2 + 2 * n),
                         weights.get() + worker * count, keys.get() + worker * count, best.get() + worker * (n + 1));
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
