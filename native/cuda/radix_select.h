#pragma once

#include "core/rank.h"
#include "cuda/reduce.h"

namespace heddle::cuda {

constexpr int kDigitBits = 11;
constexpr int kDigits = 1 << kDigitBits;
/// Elements whose indices are kept, once few enough share the digits found: later passes read these alone.
constexpr int kCandidates = 2048;
using Weight = unsigned long long;

/// Shared memory of a selection. Weights of a digit are two words: shared memory adds words by itself, while 64 bits
/// would be compared and exchanged, again and again where many threads meet.
struct Selection {
  uint32_t low[kDigits], high[kDigits];
  uint32_t candidates[kCandidates];
  uint32_t num_candidates;
  uint32_t digit;
  Weight left;
  WarpSlots<Weight> sums;
};

/// Bits that indices below `count` have.
HEDDLE_DEVICE int index_bits(int64_t count) {
  int bits = 1;
  while ((count - 1) >> bits > 0) ++bits;
  return bits;
}

HEDDLE_DEVICE void add_weight(Selection& s, uint64_t digit, Weight weight) {
  const auto low = static_cast<uint32_t>(weight);
  const uint32_t before = low > 0 ? atomic_add(&s.low[digit], low) : 0;
  const uint32_t high = static_cast<uint32_t>(weight >> 32) + (before + low < before ? 1 : 0);
  if (high > 0) atomic_add(&s.high[digit], high);
}

/// The digit at which the sum of weights first exceeds `target`, and what of the target is left within it.
HEDDLE_DEVICE void find_digit(Selection& s, Weight target) {
  const int own_digits = (kDigits + num_threads() - 1) / num_threads(), first = thread_index() * own_digits;
  const auto weight_of = [&](int d) {
    return d < kDigits ? static_cast<Weight>(s.high[d]) << 32 | s.low[d] : Weight{0};
  };
  Weight own = 0;
  for (int d = first; d < first + own_digits; ++d) own += weight_of(d);
  // Sums of what lies before, within the warp: the pairs of the first step are the halves of the fours of the second.
  Weight before = 0, total = own;
  HEDDLE_UNROLL
  for (int mask = 1; mask < kWarp; mask *= 2) {
    const Weight other = shuffle_xor(total, mask);
    if ((lane_index() & mask) != 0) before += other;
    total += other;
  }
  if (lane_index() == 0) s.sums[warp_index()] = total;
  sync_block();
  for (int w = 0; w < warp_index(); ++w) before += s.sums[w];
  if (before <= target && target < before + own) {
    int d = first;
    for (; before + weight_of(d) <= target; ++d) before += weight_of(d);
    s.digit = static_cast<uint32_t>(d);
    s.left = target - before;
  }
  sync_block();  // the digit is there
}

/// The key of the element at which the sum of weights, in rising order of the keys, first exceeds `target`. Keys have
/// `bits` bits, at most 63, and are all different; the weights sum to more than `target`. A radix select, digit by
/// digit from the highest: each pass weighs the digits of those elements that share the digits found so far. Where keys
/// rise with the index, as `in_order` says, a warp's 32 elements share a digit at first, and are added as one.
template <typename Key, typename Weigh>
HEDDLE_DEVICE uint64_t radix_select(int64_t count, int bits, Weight target, Selection& s, const Key& key,
                                    const Weigh& weigh, bool in_order = false) {
  constexpr int kBatch = 4;  // of a thread, whose loads are under way together
  uint64_t found = 0;
  bool from_candidates = false;
  HEDDLE_NO_UNROLL
  for (int top = bits; top > 0;) {
    const int shift = top > kDigitBits ? top - kDigitBits : 0;
    const uint64_t digits = (uint64_t{1} << (top - shift)) - 1;
    for (int d = thread_index(); d < kDigits; d += num_threads()) s.low[d] = s.high[d] = 0;
    if (thread_index() == 0 && !from_candidates) s.num_candidates = 0;
    sync_block();
    const int64_t elements = from_candidates ? s.num_candidates : count;
    const bool collects = top < bits && !from_candidates, sums_warps = in_order && top == bits && shift >= 5;
    for (int64_t first = warp_index() * kWarp; first < elements; first += kBatch * num_threads()) {
      int64_t index[kBatch];
      uint64_t keys[kBatch];
      Weight weights[kBatch];
      HEDDLE_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const int64_t i = first + b * num_threads() + lane_index();
        index[b] = i < elements ? (from_candidates ? s.candidates[i] : i) : -1;
        keys[b] = index[b] >= 0 ? key(index[b]) : 0;
      }
      HEDDLE_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const bool shares = index[b] >= 0 && keys[b] >> top == found;
        weights[b] = shares ? weigh(index[b]) : Weight{0};
      }
      HEDDLE_UNROLL
      for (int b = 0; b < kBatch; ++b) {
        const uint64_t digit = keys[b] >> shift & digits;
        if (sums_warps) {
          const Weight sum = reduce_warp(weights[b], Sum{});
          if (lane_index() == 0 && sum > 0) add_weight(s, digit, sum);
        } else if (weights[b] > 0) {
          add_weight(s, digit, weights[b]);
          if (!collects) continue;
          const uint32_t place = atomic_add(&s.num_candidates, 1u);
          if (place < kCandidates) s.candidates[place] = static_cast<uint32_t>(index[b]);
        }
      }
    }
    sync_block();  // all weights are there
    find_digit(s, target);
    found = found << (top - shift) | s.digit;
    target = s.left;
    from_candidates = from_candidates || (collects && s.num_candidates <= kCandidates);
    top = shift;
    sync_block();  // all have read what was found
  }
  return found;
}

}  // namespace heddle::cuda
