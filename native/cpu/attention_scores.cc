#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/row_sum.h"
#include "cpu/score_tile.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr double kNsPerKey = 4;

constexpr float kInfinity = INFINITY;

/// scores [count], a multiple of 16, → their exponentials over the sum of those and of the sink's.
void normalize(float* scores, int64_t count, float sink) {
  Vec highest = Vec::set(sink);
  for (int64_t j = 0; j < count; j += Vec::kWidth) highest = max(Vec::load(scores + j), highest);
  const float top = largest(highest);
  if (top == -kInfinity) return std::fill(scores, scores + count, 0.0f);
  const Vec shift = Vec::set(top);
  for (int64_t j = 0; j < count; j += Vec::kWidth) exp(Vec::load(scores + j) - shift).store(scores + j);
  const float sum = sum_of(count, [&](int64_t j, int lanes) { return Vec::load(scores + j, lanes); });
  const Vec total = Vec::set(sum + std::exp(sink - top));
  for (int64_t j = 0; j < count; j += Vec::kWidth) (Vec::load(scores + j) / total).store(scores + j);
}

/// Rows of the result: one query each, and the heads that are wanted of it.
template <typename C>
class ScoreWriter {
 public:
  explicit ScoreWriter(const AttentionScores& op)
      : op_(op), scorer_(op.scores), keys_(op.scores.cache.block_table->shape[1] * kPageKeys) {}

  int64_t scratch_floats() const { return scorer_.key_width() + keys_; }

  double row_ns() const { return static_cast<double>(op_.out->shape[1] * keys_) * kNsPerKey; }

  void run(int64_t row, float* scratch) const {
    const int64_t token = op_.rows ? op_.rows->data<int32_t>()[row] : row;
    const int32_t* cu = op_.scores.cu_seqlens->data<int32_t>();
    const int64_t sequence = std::upper_bound(cu, cu + scorer_.batch() + 1, static_cast<int32_t>(token)) - cu - 1;
    const int64_t heads = op_.out->shape[1], width = op_.out->shape[2];
    const int64_t group = op_.scores.q->shape[2] / scorer_.kv_heads();
    for (int64_t s = 0; s < heads; ++s) {
      const int64_t head = op_.heads ? op_.heads->data<int32_t>()[s] : s;
      const ScoreTile tile{sequence, head / group, (token - cu[sequence]) * group + head % group, 1};
      write(tile, op_.out->data<float>() + (row * heads + s) * width, width, scratch);
    }
  }

 private:
  void write(const ScoreTile& tile, float* out, int64_t width, float* scratch) const {
    const bool weights = op_.stage == ScoreStage::kWeights;
    float* const q = scratch;
    float* const scores = q + scorer_.key_width();
    scorer_.load_queries(tile, q);
    const int64_t keys = scorer_.keys(tile.sequence);
    for (int64_t key = 0; key < keys; key += kPageKeys) {
      const bool every = op_.stage == ScoreStage::kProduct || op_.stage == ScoreStage::kCapped;
      uint64_t keep = 0;
      if (!every && scorer_.visible(tile, key, &keep) == 0) {
        std::fill_n(scores + key, kPageKeys, -kInfinity);
        continue;
      }
      scorer_.multiply(tile, key, q, scores + key);
      scorer_.finish(tile, 0, key, std::min(op_.stage, ScoreStage::kMasked), keep, scores + key);
    }
    if (weights) {
      const int64_t whole = (keys + kPageKeys - 1) / kPageKeys * kPageKeys;
      normalize(scores, whole, op_.sinks ? op_.sinks->data<float>()[scorer_.head_of(tile, 0)] : -kInfinity);
    }
    if (op_.distances == 0) {
      std::copy(scores, scores + keys, out);
      std::fill(out + keys, out + width, weights ? 0.0f : -kInfinity);
      return;
    }
    std::fill(out, out + width, 0.0f);
    const int64_t first = op_.low - scorer_.position_of(tile, 0);
    for (int64_t j = 0; j < keys; ++j) out[std::clamp<int64_t>(first + j, 0, width - 1)] += scores[j];
  }

  const AttentionScores& op_;
  const Scorer<C> scorer_;
  const int64_t keys_;
};

template <typename C>
void write_scores(const AttentionScores& op, KernelContext& context) {
  const ScoreWriter<C> writer(op);
  const Scratch<float> scratch(context.allocator, writer.scratch_floats() * context.threads);
  context.parallel_for(op.out->shape[0], writer.row_ns(), [&](int64_t row, int worker) {
    writer.run(row, scratch.get() + worker * writer.scratch_floats());
  });
}

}  // namespace

void run(const AttentionScores& op, KernelContext& context) {
  const Tensor* q = op.scores.q;
  check_values(AttentionScores::kName, op.scores.cu_seqlens, q->shape[0] * q->shape[1], op.scores.cache, INT32_MIN,
               op.scores.cross);
  with_cache_type(op.scores.cache, [&](auto type) { write_scores<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
