#pragma once

#include <immintrin.h>

#include <cstdint>

#include "core/half.h"

namespace heddle::cpu::HEDDLE_ISA {

struct Mask {
  __mmask16 bits;
};

struct Vec {
  static constexpr int kWidth = 16;
  static constexpr bool kFuses = true;  // fma rounds once
  __m512 v;

  static Vec set(float x) { return {_mm512_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load(const float* p, int lanes) { return {_mm512_maskz_loadu_ps(first(lanes).bits, p)}; }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void store(float* p, int lanes) const { _mm512_mask_storeu_ps(p, first(lanes).bits, v); }
  template <typename Half>
  static Vec load(const Half* p) {
    return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), Half{});
  }
  template <typename Half>
  static Vec load(const Half* p, int lanes) {
    return widen(_mm256_maskz_loadu_epi16(first(lanes).bits, p), Half{});
  }
  template <typename Half>
  void store(Half* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), narrow(Half{}));
  }
  template <typename Half>
  void store(Half* p, int lanes) const {
    _mm256_mask_storeu_epi16(p, first(lanes).bits, narrow(Half{}));
  }
  static Vec load(const int8_t* p) {
    return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))))};
  }
  static Vec of_integers(const int32_t* p) { return {_mm512_cvtepi32_ps(_mm512_loadu_si512(p))}; }
  /// Each to the nearest, of two to the even one; they fit into a byte.
  void store_integers(int8_t* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
  }
  /// The lanes whose bits are set.
  static Mask from_bits(uint64_t bits) { return {static_cast<__mmask16>(bits)}; }
  static Mask first(int lanes) { return {static_cast<__mmask16>((1u << lanes) - 1)}; }

  static Vec widen(__m256i halves, BFloat16) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16))};
  }
  static Vec widen(__m256i halves, Float16) { return {_mm512_cvtph_ps(halves)}; }
  __m256i narrow(BFloat16) const {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7FFF)));
    const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __m512i upper = _mm512_mask_or_epi32(rounded, is_nan, bits, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(upper, 16));
  }
  __m256i narrow(Float16) const { return _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  friend Vec operator+(Vec a, Vec b) { return {_mm512_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm512_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm512_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm512_div_ps(a.v, b.v)}; }
  friend Mask operator<(Vec a, Vec b) { return {_mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ)}; }
};

inline Vec fma(Vec a, Vec b, Vec c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm512_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm512_min_ps(a.v, b.v)}; }
inline Vec abs(Vec a) { return {_mm512_abs_ps(a.v)}; }
inline Vec sqrt(Vec a) { return {_mm512_sqrt_ps(a.v)}; }
inline Mask is_nan(Vec a) { return {_mm512_cmp_ps_mask(a.v, a.v, _CMP_UNORD_Q)}; }
inline Vec round(Vec a) { return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline Vec copy_sign(Vec magnitude, Vec sign) {
  const __m512 bit = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(bit, magnitude.v), _mm512_and_ps(bit, sign.v))};
}
/// a · 2^n for a whole n.
inline Vec scale_by_power(Vec a, Vec n) { return {_mm512_scalef_ps(a.v, n.v)}; }
/// m and n of a = m · 2^n with m in [1, 2), for a positive a that is not denormal.
inline Vec mantissa_of(Vec a) { return {_mm512_getmant_ps(a.v, _MM_MANT_NORM_1_2, _MM_MANT_SIGN_src)}; }
inline Vec exponent_of(Vec a) { return {_mm512_getexp_ps(a.v)}; }
inline Vec select(Mask mask, Vec yes, Vec no) { return {_mm512_mask_blend_ps(mask.bits, no.v, yes.v)}; }
inline bool any(Mask mask) { return mask.bits != 0; }

/// Horizontal, in a fixed order.
inline float sum(Vec a) { return _mm512_reduce_add_ps(a.v); }
inline float largest(Vec a) { return _mm512_reduce_max_ps(a.v); }

}  // namespace heddle::cpu::HEDDLE_ISA
