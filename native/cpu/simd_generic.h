#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/half.h"

namespace heddle::cpu::HEDDLE_ISA {

struct Mask {
  bool lanes[4];
};

/// Four lanes in plain C++, in the shape that compilers turn into one vector register.
struct Vec {
  static constexpr int kWidth = 4;
  static constexpr bool kFuses = false;  // fma rounds once
  float v[4];

  static Vec set(float x) { return {{x, x, x, x}}; }
  static Vec load(const float* p) { return {{p[0], p[1], p[2], p[3]}}; }
  static Vec load(const float* p, int lanes) {
    if (lanes >= kWidth) return load(p);
    Vec out = set(0);
    for (int i = 0; i < lanes && i < kWidth; ++i) out.v[i] = p[i];
    return out;
  }
  void store(float* p) const { std::memcpy(p, v, sizeof v); }
  void store(float* p, int lanes) const {
    if (lanes >= kWidth) return store(p);
    for (int i = 0; i < lanes && i < kWidth; ++i) p[i] = v[i];
  }
  template <typename Half>
  static Vec load(const Half* p) {
    return map([&](int i) { return to_float(p[i]); });
  }
  template <typename Half>
  static Vec load(const Half* p, int lanes) {
    return map([&](int i) { return i < lanes ? to_float(p[i]) : 0.0f; });
  }
  template <typename Half>
  void store(Half* p) const {
    for (int i = 0; i < kWidth; ++i) p[i] = from_float<Half>(v[i]);
  }
  template <typename Half>
  void store(Half* p, int lanes) const {
    for (int i = 0; i < lanes && i < kWidth; ++i) p[i] = from_float<Half>(v[i]);
  }
  static Vec load(const int8_t* p) {
    return map([&](int i) { return static_cast<float>(p[i]); });
  }
  static Vec of_integers(const int32_t* p) {
    return map([&](int i) { return static_cast<float>(p[i]); });
  }
  /// Each to the nearest, of two to the even one; they fit into a byte.
  void store_integers(int8_t* p) const {
    constexpr float kMagic = 12582912.0f;  // 1.5 · 2^23: its last bit counts ones
    for (int i = 0; i < kWidth; ++i) p[i] = static_cast<int8_t>((v[i] + kMagic) - kMagic);
  }
  /// The lanes whose bits are set.
  static Mask from_bits(uint64_t bits) {
    return {{(bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0, (bits & 8) != 0}};
  }
  static Mask first(int lanes) { return {{lanes > 0, lanes > 1, lanes > 2, lanes > 3}}; }

  template <typename F>
  static Vec map(F f) {
    return {{f(0), f(1), f(2), f(3)}};
  }
  friend Vec operator+(Vec a, Vec b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  friend Vec operator-(Vec a, Vec b) {
    return map([&](int i) { return a.v[i] - b.v[i]; });
  }
  friend Vec operator*(Vec a, Vec b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  friend Vec operator/(Vec a, Vec b) {
    return map([&](int i) { return a.v[i] / b.v[i]; });
  }
  friend Mask operator<(Vec a, Vec b) { return {{a.v[0] < b.v[0], a.v[1] < b.v[1], a.v[2] < b.v[2], a.v[3] < b.v[3]}}; }
};

inline Vec fma(Vec a, Vec b, Vec c) { return a * b + c; }
inline Vec max(Vec a, Vec b) {
  return Vec::map([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec min(Vec a, Vec b) {
  return Vec::map([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
}
inline Vec abs(Vec a) {
  return Vec::map([&](int i) { return std::fabs(a.v[i]); });
}
inline Vec sqrt(Vec a) {
  return Vec::map([&](int i) { return std::sqrt(a.v[i]); });
}
inline Mask is_nan(Vec a) { return {{a.v[0] != a.v[0], a.v[1] != a.v[1], a.v[2] != a.v[2], a.v[3] != a.v[3]}}; }
/// To the nearest whole number, for |a| < 2^22.
inline Vec round(Vec a) {
  const Vec magic = Vec::set(12582912.0f);  // 1.5 · 2^23: its last bit counts ones
  return (a + magic) - magic;
}
inline Vec copy_sign(Vec magnitude, Vec sign) {
  return Vec::map([&](int i) { return std::copysign(magnitude.v[i], sign.v[i]); });
}
/// a · 2^n for a whole n in [-126, 127].
inline Vec scale_by_power(Vec a, Vec n) {
  return Vec::map([&](int i) {
    const int32_t bits = (static_cast<int32_t>(n.v[i] == n.v[i] ? n.v[i] : 0.0f) + 127) << 23;  // NaN: a is NaN too
    float power;
    std::memcpy(&power, &bits, sizeof power);
    return a.v[i] * power;
  });
}
/// m and n of a = m · 2^n with m in [1, 2), for a positive a that is not denormal.
inline Vec mantissa_of(Vec a) {
  return Vec::map([&](int i) { return float_of_bits((bits_of_float(a.v[i]) & 0x7FFFFF) | 0x3F800000); });
}
inline Vec exponent_of(Vec a) {
  return Vec::map([&](int i) { return static_cast<float>(static_cast<int32_t>(bits_of_float(a.v[i]) >> 23) - 127); });
}
inline Vec select(Mask mask, Vec yes, Vec no) {
  return Vec::map([&](int i) { return mask.lanes[i] ? yes.v[i] : no.v[i]; });
}
inline bool any(Mask mask) { return mask.lanes[0] || mask.lanes[1] || mask.lanes[2] || mask.lanes[3]; }

/// Horizontal, in a fixed order.
inline float sum(Vec a) { return (a.v[0] + a.v[2]) + (a.v[1] + a.v[3]); }
inline float largest(Vec a) {
  const float x = a.v[0] > a.v[2] ? a.v[0] : a.v[2], y = a.v[1] > a.v[3] ? a.v[1] : a.v[3];
  return x > y ? x : y;
}

}  // namespace heddle::cpu::HEDDLE_ISA
