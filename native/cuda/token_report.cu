#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/team.h"
#include "ops/token_report.h"
#include "scores/choice.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 512;

struct Report {
  int64_t count;
  int64_t alternatives;
  const float* logits;
  const int32_t* tokens;
  int32_t* out;
  float* weights;
  uint32_t* keys;
  uint64_t* best;
};

/// A block a row.
HEDDLE_KERNEL(kThreads) report_tokens(Report p, unsigned long long* failure) {
  HEDDLE_SHARED(TeamMemory, memory);
  const BlockTeam team{memory};
  const int64_t row = block_x();
  const int32_t token = p.tokens[row];
  if (token < 0 || token >= p.count) {
    if (thread_index() == 0) report(failure, Fault::kIndex, row, token);
    return;
  }
  scores::report_token(team, p.logits + row * p.count, p.count, token, p.alternatives,
                       p.out + row * (2 + 2 * p.alternatives), p.weights + row * p.count, p.keys + row * p.count,
                       p.best + row * (p.alternatives + 1));
}

}  // namespace

Status run(const TokenReport& op, CudaContext& context) {
  const int64_t rows = op.logits->shape[0], count = op.logits->shape[1], n = op.alternatives;
  if (rows == 0) return kSuccess;
  const ScoreScratch scratch = ScoreScratch::of(context, rows, count);
  auto* const best =
      static_cast<uint64_t*>(context.allocate(context.owner, static_cast<size_t>(rows * (n + 1)) * sizeof(uint64_t)));
  if (!scratch.exists() || !best) return kOutOfMemory;
  const Report parameters{
      count,        n,   op.logits->data<float>(), op.tokens->data<int32_t>(), op.out->data<int32_t>(), scratch.weights,
      scratch.keys, best};
  return launch(report_tokens, {rows, kThreads}, context, parameters, context.failure);
}

}  // namespace heddle::cuda
