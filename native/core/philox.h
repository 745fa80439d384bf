#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace heddle {

struct PhiloxWords {
  uint32_t at[4];

  /// In [0, 1), of 24 bits of one word.
  HEDDLE_HOST_DEVICE float unit(int word) const { return static_cast<float>(at[word] >> 8) * 0x1p-24f; }
  /// In (0, 1), of 32 bits of one word.
  HEDDLE_HOST_DEVICE float open_unit(int64_t word) const {
    const float u = (static_cast<float>(at[word]) + 0.5f) * 0x1p-32f;
    return u < 1 ? u : 1 - 0x1p-24f;
  }
  /// In [0, 1), of 53 bits of the first two words.
  HEDDLE_HOST_DEVICE double uniform() const {
    return static_cast<double>((uint64_t{at[0]} << 32 | at[1]) >> 11) * 0x1p-53;
  }
};

/// Who counts: the last word of the counter, so that numbers of one seed for different uses have nothing in common.
enum class PhiloxUse : uint32_t { kSample, kRandom, kDropout, kMask, kGumbel, kXtc };

/// Four random words for a key and a counter: Philox 4x32-10 (Salmon et al., 2011, section 4.1). No state is kept, so
/// that any number can be had on its own, by any thread of any device.
HEDDLE_HOST_DEVICE PhiloxWords philox(uint32_t key0, uint32_t key1, uint32_t counter0, uint32_t counter1,
                                      uint32_t counter2, PhiloxUse use) {
  uint32_t c0 = counter0, c1 = counter1, c2 = counter2, c3 = static_cast<uint32_t>(use);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c0, b = uint64_t{0xCD9E8D57} * c2;
    c0 = static_cast<uint32_t>(b >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(b);
    c2 = static_cast<uint32_t>(a >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(a);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return {{c0, c1, c2, c3}};
}

}  // namespace heddle
