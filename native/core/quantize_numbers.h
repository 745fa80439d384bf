#pragma once

#include <cstdint>

#include "core/host_device.h"
#include "core/quantized.h"

// How numbers become the integers of core/quantized.h: the same bytes on both devices.

namespace heddle {

constexpr int kLargestMultiplier = 15;

/// To the nearest, of two to the even one: |x| < 2^22.
HEDDLE_HOST_DEVICE float nearest(float x) {
  constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23: its last bit counts ones
  return (x + kMagic) - kMagic;
}

HEDDLE_HOST_DEVICE float magnitude_of(float x) { return x < 0 ? -x : x; }

/// A row of x whose largest magnitude is less counts as zero.
constexpr float kLeastInput = 1e-30f;

/// The scale of a row of a weight whose largest magnitude this is, where all of it is finite.
HEDDLE_HOST_DEVICE float scale_of_weight(DType dtype, float largest) {
  // Smaller than this, its inverse would not be finite: such a row is zero.
  constexpr float kLeast = 1e-36f;
  const float steps = dtype == DType::kInt8 ? 127.0f : 8.0f * kLargestMultiplier;
  return largest < kLeast ? 0.0f : largest / steps;
}

/// Four numbers as int8, the first in the lowest byte.
HEDDLE_HOST_DEVICE uint32_t int8_word(const float* x, float inverse) {
  uint32_t word = 0;
  for (int i = 0; i < 4; ++i) {
    word |= static_cast<uint32_t>(static_cast<int32_t>(nearest(x[i] * inverse)) & 0xff) << 8 * i;
  }
  return word;
}

/// q of x = step · q, within [-8, 7].
HEDDLE_HOST_DEVICE float int4_of(float x, float inverse) {
  const float q = nearest(x * inverse);
  return q < -8.0f ? -8.0f : q > 7.0f ? 7.0f : q;
}

/// Of a group in units of the row's scale, with a multiplier m.
HEDDLE_HOST_DEVICE float squared_error(const float* units, int m) {
  const float step = static_cast<float>(m), inverse = 1 / step;
  float sum = 0;
  for (int i = 0; i < kGroup; ++i) {
    const float error = units[i] - step * int4_of(units[i], inverse);
    sum += error * error;
  }
  return sum;
}

/// What multiplies a group: its element of largest magnitude becomes about -8.
HEDDLE_HOST_DEVICE int multiplier_of(const float* units) {
  float extreme = 0;
  for (int i = 0; i < kGroup; ++i) {
    if (magnitude_of(units[i]) > magnitude_of(extreme)) extreme = units[i];
  }
  if (extreme == 0) return 0;
  const int sign = extreme < 0 ? 1 : -1;
  const int wanted = static_cast<int>(nearest(magnitude_of(extreme) / 8));
  int best = 0;
  float least = 0;
  for (int m = wanted > 1 ? wanted - 1 : 1; m <= wanted + 1 && m <= kLargestMultiplier; ++m) {
    const float error = squared_error(units, sign * m);
    if (best == 0 || error < least) {
      least = error;
      best = sign * m;
    }
  }
  return best;
}

/// The words of a group of int4, and its multiplier.
HEDDLE_HOST_DEVICE int quantize_group(const float* units, uint32_t (&words)[kGroup / 8]) {
  const int m = multiplier_of(units);
  const float inverse = m == 0 ? 0 : 1 / static_cast<float>(m);
  for (int w = 0; w < kGroup / 8; ++w) {
    words[w] = 0;
    for (int i = 0; i < 8; ++i) {
      const auto q = static_cast<uint32_t>(static_cast<int>(int4_of(units[w * 8 + i], inverse)) + 8);
      words[w] |= q << (i % 4 * 8 + i / 4 * 4);
    }
  }
  return m;
}

/// The whole number that multiplies input k, of the panel lane's weights; `values` come after the panel's scales.
HEDDLE_HOST_DEVICE int whole_weight(DType dtype, const uint8_t* values, int64_t lane, int64_t k) {
  if (dtype == DType::kInt8) return static_cast<int8_t>(values[(k / 4 * kPanelWidth + lane) * 4 + k % 4]);
  const uint8_t* const group = values + k / kGroup * kInt4GroupBytes;
  const uint8_t byte = group[kPanelWidth + (k % kGroup / 8 * kPanelWidth + lane) * 4 + k % 4];
  return static_cast<int8_t>(group[lane]) * ((k % 8 < 4 ? byte & 15 : byte >> 4) - 8);
}

}  // namespace heddle
