#pragma once

#include "core/host_device.h"
#include "ops/checks.h"

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
inline void check_key_padding(const char* function, const Tensor* padding, int64_t batch, int64_t keys) {
  check_strided(function, "padding", padding);
  if (padding->dtype == DType::kInt32) return check_int32_vector(function, "padding", padding, batch);
  if (padding->dtype != DType::kBool) {
    throw_type_error("[", function, "] padding must be int32 or bool but got ", name_of(padding->dtype));
  }
  check_shape(function, "padding", padding, Shape{batch, keys});
  check_dense(function, "padding", padding);
}

}  // namespace heddle
