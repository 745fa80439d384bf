#pragma once

#include "core/quantize_numbers.h"
#include "cuda/device.h"

namespace heddle::cuda {

/// Bits of a magnitude from which on it is not finite.
constexpr uint32_t kNotFinite = 0x7f800000;

/// What makes whole numbers in [-127, 127] of a row, and their scale: see Linear. What is not finite gives zeros and a
/// scale of NaN.
struct ToIntegers {
  bool counts;  // else all are zero
  float inverse;
  float scale;

  /// Of the largest magnitude: its bits, which rise with it.
  HEDDLE_DEVICE explicit ToIntegers(uint32_t largest) {
    const float magnitude = float_from(largest);
    counts = largest < kNotFinite && magnitude >= kLeastInput;
    inverse = counts ? 127.0f / magnitude : 0.0f;
    scale = counts ? magnitude / 127.0f : largest < kNotFinite ? 0.0f : float_from(0x7fc00000);
  }

  HEDDLE_DEVICE int8_t operator()(float x) const {
    return counts ? static_cast<int8_t>(static_cast<int32_t>(nearest(x * inverse))) : int8_t{0};
  }
};

HEDDLE_DEVICE uint32_t magnitude_bits(float x) { return bits_of(x) & 0x7fffffff; }

struct LargestBits {
  HEDDLE_DEVICE uint32_t operator()(uint32_t a, uint32_t b) const { return a > b ? a : b; }
};

}  // namespace heddle::cuda
