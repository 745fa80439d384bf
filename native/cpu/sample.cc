#include "ops/sample.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/philox.h"
#include "cpu/kernels.h"
#include "cpu/math.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

struct Candidate {
  float logit;
  int32_t id;
};

/// Best first. Of equals the later comes first: top-p drops the earlier, as the reference's stable ascending sort does.
struct Better {
  bool operator()(const Candidate& a, const Candidate& b) const {
    return a.logit != b.logit ? a.logit > b.logit : a.id > b.id;
  }
};
struct Worse {
  bool operator()(const Candidate& a, const Candidate& b) const { return Better{}(b, a); }
};

/// Keeps the k best and what equals the k-th, in the order of their ids; returns how many.
int64_t keep_top_k(Candidate* candidates, int64_t count, int64_t k) {
  if (k == 0 || k >= count) return count;
  std::nth_element(candidates, candidates + k - 1, candidates + count, Better{});
  const float threshold = candidates[k - 1].logit;
  Candidate* const end =
      std::partition(candidates + k, candidates + count, [=](const Candidate& c) { return c.logit == threshold; });
  std::sort(candidates, end, [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  return end - candidates;
}

/// Keeps the best candidates until those before hold `p` of the mass; returns how many. They come to lie at the end.
int64_t keep_top_p(Candidate* candidates, int64_t count, double p, double mass, float top) {
  std::make_heap(candidates, candidates + count, Worse{});
  double before = 0;
  int64_t kept = 0;
  while (kept < count && (kept == 0 || before < p * mass)) {
    before += std::exp(static_cast<double>(candidates[0].logit - top));
    std::pop_heap(candidates, candidates + count - kept, Worse{});
    ++kept;
  }
  return kept;
}

struct Settings {
  float temperature;
  float top_p;
  int64_t top_k;
};

/// -1 where nothing can be drawn. `candidates` is scratch for `count` of them.
int32_t draw(const float* logits, int64_t count, const Settings& settings, double uniform, Candidate* candidates) {
  float top = -__builtin_inff();
  for (int64_t i = 0; i < count; ++i) {
    candidates[i] = {logits[i] / settings.temperature, static_cast<int32_t>(i)};
    if (candidates[i].logit != candidates[i].logit) return -1;
    top = std::max(top, candidates[i].logit);
  }
  if (std::isinf(top)) return -1;
  count = keep_top_k(candidates, count, settings.top_k);
  double mass = 0;
  for (int64_t i = 0; i < count; ++i) mass += std::exp(static_cast<double>(candidates[i].logit - top));
  if (settings.top_p < 1) {
    const int64_t kept = keep_top_p(candidates, count, settings.top_p, mass, top);
    candidates += count - kept;
    count = kept;
    mass = 0;
    for (int64_t i = 0; i < count; ++i) mass += std::exp(static_cast<double>(candidates[i].logit - top));
  }
  double left = uniform * mass;
  for (int64_t i = 0; i < count; ++i) {
    left -= std::exp(static_cast<double>(candidates[i].logit - top));
    if (left < 0) return candidates[i].id;
  }
  // Rounding left a crumb: the last candidate that has any mass.
  while (std::isinf(candidates[count - 1].logit)) --count;
  return candidates[count - 1].id;
}

}  // namespace

void run(const Sample& op, KernelContext& context) {
  const int64_t rows = op.logits->shape[0], count = op.logits->shape[1];
  const float* logits = op.logits->data<float>();
  const int32_t* keys = op.keys->data<int32_t>();
  const int32_t* steps = op.steps->data<int32_t>();
  int32_t* out = op.out->data<int32_t>();
  const Settings settings{op.temperature, op.top_p, op.top_k};
  const Scratch<Candidate> scratch(context.allocator, count * context.threads);
  context.parallel_for(rows, static_cast<double>(count) * 12, [&](int64_t row, int worker) {
    const PhiloxWords words =
        philox(static_cast<uint32_t>(keys[row * 3]), static_cast<uint32_t>(keys[row * 3 + 1]),
               static_cast<uint32_t>(steps[row]), static_cast<uint32_t>(keys[row * 3 + 2]), 0, PhiloxUse::kSample);
    out[row] = draw(logits + row * count, count, settings, words.uniform(), scratch.get() + worker * count);
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
