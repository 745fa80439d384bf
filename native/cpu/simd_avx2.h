#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "core/half.h"

namespace heddle::cpu::HEDDLE_ISA {

struct Mask {
  __m256 lanes;
};

struct Vec {
  static constexpr int kWidth = 8;
  static constexpr bool kFuses = true;  // fma rounds once
  __m256 v;

  static Vec set(float x) { return {_mm256_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec load(const float* p, int lanes) {
    if (lanes >= kWidth) return load(p);
    return {_mm256_maskload_ps(p, _mm256_castps_si256(first(lanes).lanes))};
  }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void store(float* p, int lanes) const {
    if (lanes >= kWidth) return store(p);
    _mm256_maskstore_ps(p, _mm256_castps_si256(first(lanes).lanes), v);
  }
  template <typename Half>
  static Vec load(const Half* p) {
    return widen(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)), Half{});
  }
  template <typename Half>
  static Vec load(const Half* p, int lanes) {
    if (lanes >= kWidth) return load(p);
    Half all[kWidth] = {};
    std::memcpy(all, p, static_cast<size_t>(lanes) * sizeof(Half));
    return load(all);
  }
  template <typename Half>
  void store(Half* p) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow(Half{}));
  }
  template <typename Half>
  void store(Half* p, int lanes) const {
    if (lanes >= kWidth) return store(p);
    Half all[kWidth];
    store(all);
    std::memcpy(p, all, static_cast<size_t>(lanes) * sizeof(Half));
  }
  static Vec load(const int8_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))))};
  }
  static Vec of_integers(const int32_t* p) {
    return {_mm256_cvtepi32_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  /// Each to the nearest, of two to the even one; they fit into a byte.
  void store_integers(int8_t* p) const {
    const __m256i whole = _mm256_cvtps_epi32(v);
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  /// The lanes whose bits are set.
  static Mask from_bits(uint64_t bits) {
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits & 0xFF)), lane);
    return {_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane))};
  }
  static Mask first(int lanes) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return {_mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32(lanes), index))};
  }

  static Vec widen(__m128i halves, BFloat16) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16))};
  }
  static Vec widen(__m128i halves, Float16) { return {_mm256_cvtph_ps(halves)}; }
  __m128i narrow(BFloat16) const {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7FFF)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i upper = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, is_nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(upper), _mm256_extracti128_si256(upper, 1));
  }
  __m128i narrow(Float16) const { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

  friend Vec operator+(Vec a, Vec b) { return {_mm256_add_ps(a.v, b.v)}; }
  friend Vec operator-(Vec a, Vec b) { return {_mm256_sub_ps(a.v, b.v)}; }
  friend Vec operator*(Vec a, Vec b) { return {_mm256_mul_ps(a.v, b.v)}; }
  friend Vec operator/(Vec a, Vec b) { return {_mm256_div_ps(a.v, b.v)}; }
  friend Mask operator<(Vec a, Vec b) { return {_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)}; }
};

inline Vec fma(Vec a, Vec b, Vec c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
inline Vec max(Vec a, Vec b) { return {_mm256_max_ps(a.v, b.v)}; }
inline Vec min(Vec a, Vec b) { return {_mm256_min_ps(a.v, b.v)}; }
inline Vec abs(Vec a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.v)}; }
inline Vec sqrt(Vec a) { return {_mm256_sqrt_ps(a.v)}; }
inline Mask is_nan(Vec a) { return {_mm256_cmp_ps(a.v, a.v, _CMP_UNORD_Q)}; }
inline Vec round(Vec a) { return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)}; }
inline Vec copy_sign(Vec magnitude, Vec sign) {
  const __m256 bit = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(bit, magnitude.v), _mm256_and_ps(bit, sign.v))};
}
/// a · 2^n for a whole n in [-126, 127].
inline Vec scale_by_power(Vec a, Vec n) {
  const __m256i exponent = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n.v), _mm256_set1_epi32(127)), 23);
  return {_mm256_mul_ps(a.v, _mm256_castsi256_ps(exponent))};
}
/// m and n of a = m · 2^n with m in [1, 2), for a positive a that is not denormal.
inline Vec mantissa_of(Vec a) {
  const __m256 fraction = _mm256_and_ps(a.v, _mm256_castsi256_ps(_mm256_set1_epi32(0x7FFFFF)));
  return {_mm256_or_ps(fraction, _mm256_set1_ps(1.0f))};
}
inline Vec exponent_of(Vec a) {
  const __m256i exponent = _mm256_srli_epi32(_mm256_castps_si256(a.v), 23);
  return {_mm256_cvtepi32_ps(_mm256_sub_epi32(exponent, _mm256_set1_epi32(127)))};
}
inline Vec select(Mask mask, Vec yes, Vec no) { return {_mm256_blendv_ps(no.v, yes.v, mask.lanes)}; }
inline bool any(Mask mask) { return _mm256_movemask_ps(mask.lanes) != 0; }

/// Horizontal, in a fixed order.
inline float sum(Vec a) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}
inline float largest(Vec a) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

}  // namespace heddle::cpu::HEDDLE_ISA
