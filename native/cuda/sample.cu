#include "core/philox.h"
#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/reduce.h"
#include "ops/sample.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
using Weight = unsigned long long;
using Histogram = Weight[kDigits];

/// The most that a token weighs, in fixed point: sums of up to 2^18 weights are exact and need no order.
constexpr double kWeightOne = 0x1p45;

struct Draw {
  int64_t count;
  float temperature;
  float top_p;
  int64_t top_k;
  const float* logits;
  const int32_t* keys;
  const int32_t* steps;
  int32_t* out;
};

/// Rises with the number, -0 as 0.
HEDDLE_DEVICE uint32_t rank_of(float x) {
  const uint32_t bits = bits_of(x + 0.0f);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/// One row of logits, and which of its tokens are kept: those of at least `lowest`, (rank, id) taken as one number.
struct Row {
  const float* logits;
  int64_t count;
  float temperature;
  float top;
  uint64_t lowest;

  HEDDLE_DEVICE float scaled(int64_t i) const { return logits[i] / temperature; }
  /// The later of equals is the better: top-p drops the earlier, as the reference's stable ascending sort does.
  HEDDLE_DEVICE uint64_t order(int64_t i) const {
    return static_cast<uint64_t>(rank_of(scaled(i))) << 32 | static_cast<uint32_t>(i);
  }
  HEDDLE_DEVICE bool kept(int64_t i) const { return order(i) >= lowest; }
  HEDDLE_DEVICE Weight weight(int64_t i) const {
    return static_cast<Weight>(exp(static_cast<double>(scaled(i) - top)) * kWeightOne + 0.5);
  }
};

/// The key of the element at which the sum of weights, in rising order of the keys, first exceeds `target`. Keys have
/// `bits` bits and are all different; the weights sum to more than `target`. A radix select, digit by digit from the
/// highest: each pass weighs the digits of those elements that share the digits found so far.
template <typename Key, typename Weigh>
HEDDLE_DEVICE uint64_t select(int64_t count, int bits, Weight target, Histogram& histogram, const Key& key,
                              const Weigh& weigh) {
  uint64_t found = 0;
  for (int shift = (bits + kDigitBits - 1) / kDigitBits * kDigitBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    for (int d = thread_index(); d < kDigits; d += kThreads) histogram[d] = 0;
    sync_block();
    for (int64_t i = thread_index(); i < count; i += kThreads) {
      const uint64_t k = key(i);
      // The first pass has nothing found: a shift by 64 bits would be undefined.
      if (shift + kDigitBits < 64 && k >> (shift + kDigitBits) != found) continue;
      const Weight w = weigh(i);
      if (w > 0) atomic_add(&histogram[k >> shift & (kDigits - 1)], w);
    }
    sync_block();
    uint64_t digit = 0;
    while (digit < kDigits - 1 && histogram[digit] <= target) target -= histogram[digit++];
    found = found << kDigitBits | digit;
    sync_block();  // all have read the histogram
  }
  return found;
}

HEDDLE_KERNEL(kThreads) draw(Draw p, unsigned long long* failure) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  HEDDLE_SHARED(WarpSlots<Weight>, weight_slots);
  HEDDLE_SHARED(Histogram, histogram);
  Row row{p.logits + block_x() * p.count, p.count, p.temperature, -kInfinity, 0};

  bool wrong = false;
  float top = -kInfinity;
  for (int64_t i = thread_index(); i < p.count; i += kThreads) {
    const float x = row.scaled(i);
    wrong = wrong || x != x;
    top = fmaxf(top, x);
  }
  row.top = reduce_block(top, slots, Largest{});
  if (any_of_block(wrong) || fabsf(row.top) == kInfinity) {
    if (thread_index() > 0) return;
    report(failure, Fault::kIndex, block_x(), 0);
    p.out[block_x()] = 0;
    return;
  }

  const auto kept_weight = [&](int64_t i) { return row.kept(i) ? row.weight(i) : 0; };
  const auto mass_of = [&] {
    Weight mass = 0;
    for (int64_t i = thread_index(); i < p.count; i += kThreads) mass += kept_weight(i);
    return reduce_block(mass, weight_slots, Sum{});
  };
  // The best are looked for from above: their order turned round.
  const auto from_above = [&](int64_t i) { return ~row.order(i); };
  if (p.top_k > 0 && p.top_k < p.count) {
    const auto one = [](int64_t) { return Weight{1}; };
    const uint64_t last = ~select(p.count, 64, static_cast<Weight>(p.top_k - 1), histogram, from_above, one);
    row.lowest = last >> 32 << 32;  // and what equals the k-th
  }
  Weight mass = mass_of();
  if (p.top_p < 1) {
    // Kept are those before which there is less than this: the last of them is where the sum reaches it.
    const double wanted = ceil(static_cast<double>(p.top_p) * static_cast<double>(mass));
    const Weight target = wanted > 1 ? static_cast<Weight>(wanted) - 1 : 0;
    row.lowest = ~select(p.count, 64, target < mass ? target : mass - 1, histogram, from_above, kept_weight);
    mass = mass_of();
  }

  const int32_t* const keys = p.keys + block_x() * 3;
  const PhiloxWords words =
      philox(static_cast<uint32_t>(keys[0]), static_cast<uint32_t>(keys[1]), static_cast<uint32_t>(p.steps[block_x()]),
             static_cast<uint32_t>(keys[2]), 0, PhiloxUse::kSample);
  const double wanted = words.uniform() * static_cast<double>(mass);
  const Weight target = static_cast<Weight>(wanted) < mass ? static_cast<Weight>(wanted) : mass - 1;
  // As on the CPU: top-p lays the kept out from the worst to the best, else they stand in order of their ids.
  uint64_t chosen;
  if (p.top_p < 1) {
    const auto rising = [&](int64_t i) { return row.order(i); };
    chosen = select(p.count, 64, target, histogram, rising, kept_weight) & 0xffffffffu;
  } else {
    const auto id = [](int64_t i) { return static_cast<uint64_t>(i); };
    chosen = select(p.count, 32, target, histogram, id, kept_weight);
  }
  if (thread_index() == 0) p.out[block_x()] = static_cast<int32_t>(chosen);
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
  const Draw parameters{op.logits->shape[1],
                        op.temperature,
                        op.top_p,
                        op.top_k,
                        op.logits->data<float>(),
                        op.keys->data<int32_t>(),
                        op.steps->data<int32_t>(),
                        op.out->data<int32_t>()};
  return launch(draw, {op.logits->shape[0], kThreads}, context, parameters, context.failure);
}

Status run(const EndOfSequence& op, CudaContext& context) {
  return launch(end_rows, {1, kThreads}, context, op.tokens->numel(), op.ends->numel(), op.pad,
                op.chosen->data<int32_t>(), op.ends->data<int32_t>(), op.tokens->data<int32_t>(),
                op.finished->data<int32_t>());
}

}  // namespace heddle::cuda
