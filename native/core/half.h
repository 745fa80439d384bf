#pragma once

#include <cstdint>
#include <cstring>

namespace heddle {

// The 16-bit floats that tensors may hold. They are for storage: arithmetic widens them to float32 and rounds its
// results to them, to the nearest and of two to the even one.

/// IEEE 754 binary16: 5 bits of exponent, 10 of fraction.
struct Float16 {
  uint16_t bits;
};

/// The upper half of a float32: 8 bits of exponent, 7 of fraction.
struct BFloat16 {
  uint16_t bits;
};

inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}
inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float to_float(float value) { return value; }
inline float to_float(BFloat16 value) { return float_of_bits(uint32_t{value.bits} << 16); }
/// Without branches, so that compilers make vectors of it.
inline float to_float(Float16 value) {
  const uint32_t sign = (value.bits & 0x8000u) << 16, magnitude = value.bits & 0x7FFFu;
  const uint32_t denormal = bits_of_float(static_cast<float>(static_cast<int32_t>(magnitude)) * 0x1p-24f);
  const uint32_t normal = (magnitude << 13) + (112u << 23);
  const uint32_t special = magnitude << 13 | 0x7F800000u;  // ∞ and NaN
  return float_of_bits(sign | (magnitude < 0x0400 ? denormal : magnitude < 0x7C00 ? normal : special));
}

template <typename T>
T from_float(float value);

template <>
inline float from_float<float>(float value) {
  return value;
}

template <>
inline BFloat16 from_float<BFloat16>(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7FFFFFFFu) > 0x7F800000u) return {static_cast<uint16_t>(bits >> 16 | 0x40u)};  // NaN stays one
  return {static_cast<uint16_t>((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16)};
}

template <>
inline Float16 from_float<Float16>(float value) {
  const uint32_t bits = bits_of_float(value), magnitude = bits & 0x7FFFFFFFu;
  const auto sign = static_cast<uint16_t>(bits >> 16 & 0x8000u);
  const auto with_sign = [sign](uint32_t half) { return Float16{static_cast<uint16_t>(sign | half)}; };
  if (magnitude > 0x7F800000u) return with_sign(0x7E00u | (magnitude >> 13 & 0x3FFu));  // NaN
  if (magnitude >= 0x477FF000u) return with_sign(0x7C00u);                              // rounds to 2^16: ∞
  if (magnitude < 0x38800000u) {  // below 2^-14: units of 2^-24, rounded by the addition
    return with_sign(bits_of_float(float_of_bits(magnitude) + 0.5f) - bits_of_float(0.5f));
  }
  return with_sign((magnitude - (112u << 23) + 0xFFFu + (magnitude >> 13 & 1u)) >> 13);
}

}  // namespace heddle
