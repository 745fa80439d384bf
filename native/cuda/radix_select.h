#pragma once

#include "core/rank.h"
#include "cuda/device.h"

namespace heddle::cuda {

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;
using Weight = unsigned long long;
using Histogram = Weight[kDigits];

/// The key of the element at which the sum of weights, in rising order of the keys, first exceeds `target`. Keys have
/// `bits` bits and are all different; the weights sum to more than `target`. A radix select, digit by digit from the
/// highest: each pass weighs the digits of those elements that share the digits found so far.
template <typename Key, typename Weigh>
HEDDLE_DEVICE uint64_t radix_select(int64_t count, int bits, Weight target, Histogram& histogram, const Key& key,
                                    const Weigh& weigh) {
  uint64_t found = 0;
  for (int shift = (bits + kDigitBits - 1) / kDigitBits * kDigitBits - kDigitBits; shift >= 0; shift -= kDigitBits) {
    for (int d = thread_index(); d < kDigits; d += num_threads()) histogram[d] = 0;
    sync_block();
    for (int64_t i = thread_index(); i < count; i += num_threads()) {
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

}  // namespace heddle::cuda
