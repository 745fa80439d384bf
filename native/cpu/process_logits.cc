#include "ops/process_logits.h"

#include <optional>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/team.h"
#include "scores/chain.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const ProcessLogits& op, KernelContext& context) {
  const scores::Chain chain = scores::Chain::of(op);
  const int64_t count = chain.vocabulary;
  // What a device would tell: of several the first kind, and of those the lowest index.
  std::optional<scores::Wrong> first;
  for (int64_t row = 0; row < chain.num_rows; ++row) {
    const scores::Wrong wrong = scores::wrong_with(chain, row);
    if (!wrong.found) continue;
    if (!first || wrong.fault < first->fault || (wrong.fault == first->fault && wrong.index < first->index)) {
      first = wrong;
    }
  }
  if (first) op.fail(first->fault, first->index, first->value);

  const Scratch<float> weights(context.allocator, count * context.threads);
  const Scratch<uint32_t> keys(context.allocator, count * context.threads);
  const Scratch<int32_t> candidates(context.allocator, count * context.threads);
  context.parallel_for(chain.num_rows, static_cast<double>(count) * 4, [&](int64_t row, int worker) {
    const SoloTeam team{candidates.get() + worker * count};
    scores::process_row(team, chain, row, weights.get() + worker * count, keys.get() + worker * count);
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
