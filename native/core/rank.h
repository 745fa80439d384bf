#pragma once

#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace heddle {

/// Rises with the number, -0 as 0.
HEDDLE_HOST_DEVICE uint32_t rank_of(float x) {
  const float value = x + 0.0f;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits >> 31 ? ~bits : bits | 0x80000000u;
}

}  // namespace heddle
