#pragma once

#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace heddle::scores {

/// A processor of a chain: words, some of which are floats.
struct Piece {
  const int32_t* words;
  int64_t size;

  HEDDLE_HOST_DEVICE float real(int64_t i) const {
    float value;
    memcpy(&value, words + i, sizeof value);
    return value;
  }
  HEDDLE_HOST_DEVICE double wide(int64_t i) const {
    const uint64_t bits =
        static_cast<uint64_t>(static_cast<uint32_t>(words[i + 1])) << 32 | static_cast<uint32_t>(words[i]);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
  }
};

/// Tokens that somebody said.
struct Tokens {
  const int32_t* ids = nullptr;
  int64_t count = 0;

  HEDDLE_HOST_DEVICE int32_t operator[](int64_t i) const { return ids[i]; }
  HEDDLE_HOST_DEVICE Tokens from(int64_t begin) const {
    return begin < count ? Tokens{ids + begin, count - begin} : Tokens{};
  }
  /// The last n; all of them for n = 0.
  HEDDLE_HOST_DEVICE Tokens last(int64_t n) const { return n > 0 && n < count ? from(count - n) : *this; }
  HEDDLE_HOST_DEVICE bool contains(int32_t token) const {
    for (int64_t i = 0; i < count; ++i) {
      if (ids[i] == token) return true;
    }
    return false;
  }
  /// Whether it ends with these n.
  HEDDLE_HOST_DEVICE bool ends_with(const int32_t* others, int64_t n) const {
    if (n > count) return false;
    for (int64_t i = 0; i < n; ++i) {
      if (ids[count - n + i] != others[i]) return false;
    }
    return true;
  }
};

/// What a chain knows of the sequence whose scores it processes.
struct Sequence {
  Tokens history;
  int64_t prompt_length = 0;
  int64_t max_length = 0;
  Tokens source;
  Tokens group;
  double uniform = 0;  // in [0, 1)
  float mu = 0;

  HEDDLE_HOST_DEVICE int64_t generated() const { return history.count - prompt_length; }
};

}  // namespace heddle::scores
