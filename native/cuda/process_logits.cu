#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/team.h"
#include "ops/process_logits.h"
#include "scores/chain.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 512;

/// A block a row.
HEDDLE_KERNEL(kThreads)
process_rows(HEDDLE_PARAMETER scores::Chain chain, float* weights, uint32_t* keys, unsigned long long* failure) {
  HEDDLE_SHARED(TeamMemory, memory);
  const BlockTeam team{memory};
  const int64_t row = block_x();
  const scores::Wrong wrong = scores::wrong_with(chain, row);
  if (wrong.found) {
    if (thread_index() == 0) report(failure, wrong.fault, wrong.index, wrong.value);
    return;
  }
  scores::process_row(team, chain, row, weights + row * chain.vocabulary, keys + row * chain.vocabulary);
}

}  // namespace

Status run(const ProcessLogits& op, CudaContext& context) {
  const scores::Chain chain = scores::Chain::of(op);
  if (chain.num_rows == 0) return kSuccess;
  const ScoreScratch scratch = ScoreScratch::of(context, chain.num_rows, chain.vocabulary);
  if (!scratch.exists()) return kOutOfMemory;
  return launch(process_rows, {chain.num_rows, kThreads}, context, chain, scratch.weights, scratch.keys,
                context.failure);
}

}  // namespace heddle::cuda
