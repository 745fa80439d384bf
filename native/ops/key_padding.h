#pragma once

#include "core/host_device.h"
#include "core/tensor.h"

namespace heddle {

/// Which keys are there, for kernels: those of a sequence before its length, or those that are marked.
struct KeyPadding {
  const int32_t* lengths = nullptr;  // [B]
  const uint8_t* kept = nullptr;     // [B, T]
  int64_t keys = 0;                  // T

  /// Of an operand that was checked; null: all.
  static KeyPadding of(const Tensor* padding, int64_t keys) {
    if (!padding) return {};
    if (padding->dtype == DType::kInt32) return {padding->data<int32_t>(), nullptr, keys};
    return {nullptr, padding->data<uint8_t>(), keys};
  }

  HEDDLE_HOST_DEVICE bool keeps(int64_t sequence, int64_t key) const {
    if (lengths) return key < lengths[sequence];
    return !kept || kept[sequence * keys + key] != 0;
  }
};

/// The operand: lengths [B] int32, or [B, T] bool (true: a key), dense. Throws TypeError or RangeError for another.
void check_key_padding(const char* function, const Tensor* padding, int64_t batch, int64_t keys);

}  // namespace heddle
