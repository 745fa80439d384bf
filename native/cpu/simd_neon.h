#pragma once

#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "core/half.h"

namespace heddle::cpu::HEDDLE_ISA {

struct Mask {
  uint32x4_t lanes;
};

struct Vec {
  static constexpr int kWidth = 4;
  static constexpr bool kFuses = true;  // fma rounds once
  float32x4_t v;

  static Vec set(float x) { return {vdupq_n_f32(x)}; }
  static Vec load(const float* p) { return {vld1q_f32(p)}; }
  void store(float* p) const { vst1q_f32(p, v); }
  template <typename Half>
  static Vec load(const Half* p) {
    return widen(vld1_u16(reinterpret_cast<const uint16_t*>(p)), Half{});
  }
  template <typename Half>
  void store(Half* p) const {
    vst1_u16(reinterpret_cast<uint16_t*>(p), narrow(Half{}));
  }
  template <typename T>
  static Vec load(const T* p, int lanes) {
    if (lanes >= kWidth) return load(p);
    T all[kWidth] = {};
    std::memcpy(all, p, static_cast<size_t>(lanes) * sizeof(T));
    return load(all);
  }
  template <typename T>
  void store(T* p, int lanes) const {
    if (lanes >= kWidth) return store(p);
    T all[kWidth];
    store(all);
    std::memcpy(p, all, static_cast<size_t>(lanes) * sizeof(T));
  }
  static Vec load(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof(four));
    const int16x8_t words = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(four)));
    return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(words)))};
  }
  static Vec of_integers(const int32_t* p) { return {vcvtq_f32_s32(vld1q_s32(p))}; }
  /// Each to the nearest, of two to the even one; they fit into a byte.
  void store_integers(int8_t* p) const {
    const int16x4_t words = vmovn_s32(vcvtnq_s32_f32(v));
    const int32_t four = vget_lane_s32(vreinterpret_s32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
    std::memcpy(p, &four, sizeof four);
  }
  /// The lanes whose bits are set.
  static Mask from_bits(uint64_t bits) {
    static constexpr uint32_t kLanes[] = {1, 2, 4, 8};
    return {vtstq_u32(vdupq_n_u32(static_cast<uint32_t>(bits)), vld1q_u32(kLanes))};
  }
  static Mask first(int lanes) {
    static constexpr int32_t kIndex[] = {0, 1, 2, 3};
    return {vcltq_s32(vld1q_s32(kIndex), vdupq_n_s32(lanes))};
  }

  static Vec widen(uint16x4_t halves, BFloat16) { return {vreinterpretq_f32_u32(vshll_n_u16(halves, 16))}; }
  static Vec widen(uint16x4_t halves, Float16) { return {vcvt_f32_f16(vreinterpret_f16_u16(halves))}; }
  uint16x4_t narrow(BFloat16) const {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7FFF)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16);
  }
  uint16x4_t narrow(Float16) const { return vreinterpret_u16_f16(vcvt_f16_f32(v)); }

  friend Vec operator+(Vec a, Vec b) { return {vaddq_f32(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {vsubq_f32(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {vmulq_f32(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {vdivq_f32(a.v, b.v)}; }
  friend Mask operator<(Vec a, Vec b) { return {vcltq_f32(a.v, b.v)}; }
};

inline Vec select(Mask mask, Vec yes, Vec no) { return {vbslq_f32(mask.lanes, yes.v, no.v)}; }
inline Vec fma(Vec a, Vec b, Vec c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
/// Not by FMAX and FMIN, which give NaN for a NaN in a, too.
inline Vec max(Vec a, Vec b) { return select(b < a, a, b); }
inline Vec min(Vec a, Vec b) { return select(a < b, a, b); }
inline Vec abs(Vec a) { return {vabsq_f32(a.v)}; }
inline Vec sqrt(Vec a) { return {vsqrtq_f32(a.v)}; }
inline Mask is_nan(Vec a) { return {vmvnq_u32(vceqq_f32(a.v, a.v))}; }
inline Vec round(Vec a) { return {vrndnq_f32(a.v)}; }
inline Vec copy_sign(Vec magnitude, Vec sign) { return {vbslq_f32(vdupq_n_u32(0x80000000u), sign.v, magnitude.v)}; }
/// a · 2^n for a whole n in [-126, 127].
inline Vec scale_by_power(Vec a, Vec n) {
  const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtq_s32_f32(n.v), vdupq_n_s32(127)), 23);
  return {vmulq_f32(a.v, vreinterpretq_f32_s32(exponent))};
}
/// m and n of a = m · 2^n with m in [1, 2), for a positive a that is not denormal.
inline Vec mantissa_of(Vec a) {
  const uint32x4_t fraction = vandq_u32(vreinterpretq_u32_f32(a.v), vdupq_n_u32(0x7FFFFF));
  return {vreinterpretq_f32_u32(vorrq_u32(fraction, vdupq_n_u32(0x3F800000)))};
}
inline Vec exponent_of(Vec a) {
  const int32x4_t exponent = vreinterpretq_s32_u32(vshrq_n_u32(vreinterpretq_u32_f32(a.v), 23));
  return {vcvtq_f32_s32(vsubq_s32(exponent, vdupq_n_s32(127)))};
}
inline bool any(Mask mask) { return vmaxvq_u32(mask.lanes) != 0; }

/// Horizontal, in a fixed order.
inline float sum(Vec a) {
  const float32x2_t x = vadd_f32(vget_low_f32(a.v), vget_high_f32(a.v));
  return vget_lane_f32(x, 0) + vget_lane_f32(x, 1);
}
inline float largest(Vec a) {
  const float32x2_t low = vget_low_f32(a.v), high = vget_high_f32(a.v);
  const float32x2_t x = vbsl_f32(vcgt_f32(low, high), low, high);
  return vget_lane_f32(x, 0) > vget_lane_f32(x, 1) ? vget_lane_f32(x, 0) : vget_lane_f32(x, 1);
}

}  // namespace heddle::cpu::HEDDLE_ISA
