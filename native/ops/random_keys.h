#pragma once

#include "core/philox.h"

namespace heddle {

/// The keys that a position draws: `count` distinct ones of `keys` (Floyd's algorithm: Bentley and Floyd, 1987), in
/// `drawn`, which has room for them. Returns how many there are.
HEDDLE_HOST_DEVICE int draw_keys(uint32_t seed, int64_t position, int count, int64_t keys, int32_t* drawn) {
  if (count >= keys) {
    for (int64_t key = 0; key < keys; ++key) drawn[key] = static_cast<int32_t>(key);
    return static_cast<int>(keys);
  }
  for (int i = 0; i < count; ++i) {
    const int64_t last = keys - count + i;
    const PhiloxWords words =
        philox(seed, 0, static_cast<uint32_t>(position), static_cast<uint32_t>(i), 0, PhiloxUse::kMask);
    auto chosen = static_cast<int32_t>(words.uniform() * static_cast<double>(last + 1));
    for (int j = 0; j < i; ++j) {
      if (drawn[j] != chosen) continue;
      chosen = static_cast<int32_t>(last);
      break;
    }
    drawn[i] = chosen;
  }
  return count;
}

}  // namespace heddle
