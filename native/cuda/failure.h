#pragma once

#include "cuda/context.h"
#include "cuda/device.h"

namespace heddle::cuda {

HEDDLE_DEVICE void report(unsigned long long* record, Fault fault, int64_t index, int64_t value) {
  const int64_t at = index < kMaxFailureIndex ? index : kMaxFailureIndex;
  const int64_t low = value > INT32_MAX ? INT32_MAX : value < INT32_MIN ? INT32_MIN : value;
  atomic_min(record, static_cast<unsigned long long>(fault) << 61 | static_cast<unsigned long long>(at) << 32 |
                         static_cast<uint32_t>(static_cast<int32_t>(low)));
}

}  // namespace heddle::cuda
