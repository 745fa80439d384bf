#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/score_tile.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr float kInfinity = INFINITY;
constexpr double kNsPerMultiplyAdd = 0.02;

/// One online softmax a row: largest score, sum of exponentials, weighted sum of values (not yet divided). A sum is
/// that of `Lanes` numbers: within a span those of a vector, which are added up where it ends.
template <int Lanes>
struct State {
  alignas(64) float sums[kScoreRows * Lanes];
  float max[kScoreRows];
  float* out;  // [kScoreRows, padded value width]

  void reset(int64_t rows, int64_t width) {
    std::fill(sums, sums + rows * Lanes, 0.0f);
    std::fill(max, max + rows, -kInfinity);
    std::fill(out, out + rows * width, 0.0f);
  }
};
using Span = State<Vec::kWidth>;
using Total = State<1>;

float exp_of(float x) {
  alignas(64) float lanes[Vec::kWidth];
  exp(Vec::set(x)).store(lanes);
  return lanes[0];
}

void scale_row(float* row, int64_t width, float factor) {
  const Vec f = Vec::set(factor);
  for (int64_t i = 0; i < width; i += Vec::kWidth) (Vec::load(row + i) * f).store(row + i);
}

/// scores [kPageKeys] of one row, those not in `keep` dropped → probabilities relative to the row's new maximum, as a C
/// holds them; what the state holds is rescaled to it.
template <typename C>
void absorb_scores(float* scores, uint64_t keep, float scale, Span& state, int64_t row, int64_t width) {
  const Vec minus_infinity = Vec::set(-kInfinity), factor = Vec::set(scale);
  Vec top = minus_infinity;
  for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
    const Vec s = select(Vec::from_bits(keep >> j), Vec::load(scores + j) * factor, minus_infinity);
    s.store(scores + j);
    top = max(s, top);
  }
  const float before = state.max[row], now = std::max(before, largest(top));
  float* const sums = state.sums + row * Vec::kWidth;
  Vec total = Vec::load(sums);
  if (now > before) {
    const float shrink = exp_of(before - now);  // e^-∞ = 0 for a first block
    state.max[row] = now;
    total = total * Vec::set(shrink);
    scale_row(state.out + row * width, width, shrink);
  }
  const Vec shift = Vec::set(now == -kInfinity ? 0.0f : now);  // nothing yet: avoids -∞ - (-∞)
  for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
    const Vec p = exp(Vec::load(scores + j) - shift);
    rounded_to<C>(p).store(scores + j);
    total = total + p;
  }
  total.store(sums);
}

/// What `span` holds joins `total`.
void merge(Total& total, const Span& span, int64_t row, int64_t width) {
  const float of_span = sum(Vec::load(span.sums + row * Vec::kWidth));
  if (of_span == 0.0f) return;  // no key of the span: as if it had not been
  const float now = std::max(total.max[row], span.max[row]);
  const float old_share = exp_of(total.max[row] - now), new_share = exp_of(span.max[row] - now);
  total.max[row] = now;
  total.sums[row] = total.sums[row] * old_share + of_span * new_share;
  const Vec a = Vec::set(old_share), b = Vec::set(new_share);
  for (int64_t i = row * width; i < (row + 1) * width; i += Vec::kWidth) {
    fma(Vec::load(total.out + i), a, Vec::load(span.out + i) * b).store(total.out + i);
  }
}

/// C: what keys and values are.
template <typename C>
class Kernel {
  using P = Product<C>;
  static_assert(kScoreRows % P::kRowStep == 0);

 public:
  explicit Kernel(const Attention& op)
      : op_(op), scorer_(op.scores), shape_(op.scores.cache.shape), width_(shape_.padded_value_width()) {}

  const Scorer<C>& scorer() const { return scorer_; }

  /// Floats of scratch a tile needs.
  int64_t scratch_floats() const { return kScoreRows * (scorer_.query_width() + kPageKeys + 2 * width_); }

  double tile_ns() const {
    int64_t keys = 0, rows = 0;
    for (int64_t b = 0; b < scorer_.batch(); ++b) {
      keys = std::max(keys, scorer_.keys(b));
      rows = std::max(rows, std::min(kScoreRows, scorer_.rows(b)));
    }
    return static_cast<double>(std::max<int64_t>(rows, 8) * keys * (shape_.key_width + width_)) * kNsPerMultiplyAdd;
  }

  void run(const ScoreTile& tile, float* scratch) const {
    const typename P::Scope scope;
    auto* const q = reinterpret_cast<typename P::Left*>(scratch);  // [rows, Dk]
    float* const scores = scratch + kScoreRows * scorer_.query_width();
    Total total;
    Span span;
    total.out = scores + kScoreRows * kPageKeys;
    span.out = total.out + kScoreRows * width_;
    scorer_.load_queries(tile, q);
    total.reset(tile.rows, width_);
    if (op_.sinks) add_sinks(tile, total);
    const int64_t most = scorer_.limit(tile);
    constexpr int64_t kSpanKeys = Attention::kSpanBlocks * kPageKeys;
    for (int64_t begin = 0; begin < most; begin += kSpanKeys) {
      const int64_t end = std::min(most, begin + kSpanKeys);
      if (scorer_.skips(tile, begin, end)) continue;
      span.reset(tile.rows, width_);
      for (int64_t key = begin; key < end; key += kPageKeys) block(tile, key, q, scores, span);
      for (int64_t r = 0; r < tile.rows; ++r) merge(total, span, r, width_);
    }
    for (int64_t r = 0; r < tile.rows; ++r) write(tile, r, total);
  }

 private:
  void add_sinks(const ScoreTile& tile, Total& total) const {
    for (int64_t r = 0; r < tile.rows; ++r) {
      const float sink = op_.sinks->data<float>()[scorer_.head_of(tile, r)];
      if (sink == -kInfinity) continue;
      total.max[r] = sink;
      total.sums[r] = 1.0f;
    }
  }

  /// One key block: scores, online softmax, values. A key that no row of the tile may see is not touched: what is
  /// there may be NaN.
  void block(const ScoreTile& tile, int64_t key, const typename P::Left* q, float* scores, Span& span) const {
    uint64_t keep[kScoreRows];
    uint64_t seen = scorer_.visible(tile, key, keep);
    if (seen == 0) return;
    scorer_.multiply(tile, key, q, scores);
    if (op_.scores.plain()) {
      for (int64_t r = 0; r < tile.rows; ++r) {
        absorb_scores<C>(scores + r * kPageKeys, keep[r], op_.scores.scale, span, r, width_);
      }
    } else {
      seen = 0;
      for (int64_t r = 0; r < tile.rows; ++r) {
        scorer_.finish(tile, r, key, ScoreStage::kMasked, keep[r], scores + r * kPageKeys);
        absorb_scores<C>(scores + r * kPageKeys, keep[r], 1.0f, span, r, width_);
        seen |= keep[r];
      }
    }
    scorer_.add_values(tile, key, scores, seen, span.out);
  }

  void write(const ScoreTile& tile, int64_t r, const Total& total) const {
    if (op_.lse) {
      op_.lse->data<float>()[scorer_.offset(tile, r, op_.lse)] =
          total.sums[r] == 0.0f ? -kInfinity : total.max[r] + std::log(total.sums[r]);
    }
    // A row that sees nothing gives 0. Adding 0 turns -0 into 0: rows nearby decide whether a hidden key was added.
    const Vec divisor = Vec::set(total.sums[r] == 0.0f ? 1.0f : total.sums[r]);
    with_product_type(op_.out->dtype, [&](auto type) {
      auto* const to = op_.out->data<decltype(type)>() + scorer_.offset(tile, r, op_.out);
      for (int64_t i = 0; i < shape_.value_width; i += Vec::kWidth) {
        const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, shape_.value_width - i));
        (Vec::load(total.out + r * width_ + i) / divisor + Vec::set(0.0f)).store(to + i, lanes);
      }
    });
  }

  const Attention& op_;
  const Scorer<C> scorer_;
  const PageShape shape_;
  const int64_t width_;
};

template <typename C>
void attend(const Attention& op, KernelContext& context) {
  const Kernel<C> kernel(op);
  const Scratch<float> scratch(context.allocator, kernel.scratch_floats() * context.threads);
  for_each_tile(kernel.scorer(), kernel.tile_ns(), context, [&](const ScoreTile& tile, int worker) {
    kernel.run(tile, scratch.get() + worker * kernel.scratch_floats());
  });
}

}  // namespace

void run(const Attention& op, KernelContext& context) {
  const Tensor* q = op.scores.q;
  check_values(Attention::kName, op.scores.cu_seqlens, q->shape[0] * q->shape[1], op.scores.cache, INT32_MIN,
               op.scores.cross);
  with_cache_type(op.scores.cache, [&](auto type) { attend<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
