#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/simd.h"

// Sums of products of bytes, four to a lane of int32: what linear multiplies quantized weights by.
//
//   Sums                 kLanes whole numbers
//   Dot4::Weights        4 · kLanes signed bytes, within [-127, 127], of kLanes outputs
//   Dot4::Inputs         four signed bytes of a row, within [-127, 127], for every lane
//   Dot4::start(total)   what sums over Weights begin with, where the row's inputs sum up to `total`
//   Dot4::add            sums + Σ of the four products
//   Dot4::Halves         the low and the high halves of bytes, within [0, 15]
//
// kRows × kVecs accumulators and their operands just fill the registers.

namespace heddle::cpu::HEDDLE_ISA {

#if defined(__AVX512F__)

struct Dot4 {
  static constexpr int kLanes = 16, kRows = 6, kVecs = 4, kFewRows = 3;
  using Sums = __m512i;
  struct Weights {
    __m512i plus128;  // VPDPBUSD multiplies unsigned bytes by signed ones
  };
  struct Inputs {
    __m512i x;
  };
  struct Halves {
    __m512i low, high;
  };

  static Sums set(int32_t x) { return _mm512_set1_epi32(x); }
  static Sums load(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store(int32_t* p, Sums sums) { _mm512_storeu_si512(p, sums); }
  static Sums multiply(Sums a, Sums b) { return _mm512_mullo_epi32(a, b); }
  static Sums plus(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
  static Sums widen(const uint8_t* p) {
    return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }

  static int32_t start(int32_t total) { return -128 * total; }
  static Weights weights(const uint8_t* p) {
    return {_mm512_xor_si512(_mm512_loadu_si512(p), _mm512_set1_epi8(static_cast<char>(0x80)))};
  }
  static Inputs inputs(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return {_mm512_set1_epi32(four)};
  }
  static Halves halves(const uint8_t* p) {
    const __m512i both = _mm512_loadu_si512(p), mask = _mm512_set1_epi8(15);
    return {_mm512_and_si512(both, mask), _mm512_and_si512(_mm512_srli_epi16(both, 4), mask)};
  }
  static Sums add(Sums sums, Weights w, Inputs in) { return add(sums, w.plus128, in); }
  /// Bytes without a sign.
  static Sums add(Sums sums, __m512i bytes, Inputs in) {
#if defined(_MSC_VER)
    return _mm512_dpbusd_epi32(sums, bytes, in.x);
#else
    // Assembly, since the intrinsic asks for flags that would let the compiler use VNNI where a machine may lack it.
    asm("vpdpbusd %2, %1, %0" : "+v"(sums) : "v"(bytes), "v"(in.x));
    return sums;
#endif
  }
};

#elif defined(__AVX2__)

struct Dot4 {
  static constexpr int kLanes = 8, kRows = 2, kVecs = 4, kFewRows = 1;
  using Sums = __m256i;
  struct Weights {
    __m256i w;
  };
  struct Inputs {
    __m256i x, magnitude;
  };
  struct Halves {
    __m256i low, high;
  };

  static Sums set(int32_t x) { return _mm256_set1_epi32(x); }
  static Sums load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store(int32_t* p, Sums sums) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), sums); }
  static Sums multiply(Sums a, Sums b) { return _mm256_mullo_epi32(a, b); }
  static Sums plus(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
  static Sums widen(const uint8_t* p) {
    return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
  }

  static int32_t start(int32_t) { return 0; }
  static Weights weights(const uint8_t* p) { return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))}; }
  static Inputs inputs(const int8_t* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    const __m256i x = _mm256_set1_epi32(four);
    return {x, _mm256_abs_epi8(x)};
  }
  static Halves halves(const uint8_t* p) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), mask = _mm256_set1_epi8(15);
    return {_mm256_and_si256(both, mask), _mm256_and_si256(_mm256_srli_epi16(both, 4), mask)};
  }
  /// |x| · (w with x's sign): pairs of such products fit into the int16 that VPMADDUBSW saturates to.
  static Sums add(Sums sums, Weights w, Inputs in) {
    return add_pairs(sums, _mm256_maddubs_epi16(in.magnitude, _mm256_sign_epi8(w.w, in.x)));
  }
  /// Bytes without a sign, of at most 15.
  static Sums add(Sums sums, __m256i bytes, Inputs in) { return add_pairs(sums, _mm256_maddubs_epi16(bytes, in.x)); }

 private:
  static Sums add_pairs(Sums sums, __m256i pairs) {
    return _mm256_add_epi32(sums, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
  }
};

#elif defined(HEDDLE_NEON)

struct Dot4 {
  static constexpr int kLanes = 4, kRows = 6, kVecs = 4, kFewRows = 2;
  using Sums = int32x4_t;
  using Weights = int8x16_t;
  using Inputs = int8x16_t;
  struct Halves {
    int8x16_t low, high;
  };

  static Sums set(int32_t x) { return vdupq_n_s32(x); }
  static Sums load(const int32_t* p) { return vld1q_s32(p); }
  static void store(int32_t* p, Sums sums) { vst1q_s32(p, sums); }
  static Sums multiply(Sums a, Sums b) { return vmulq_s32(a, b); }
  static Sums plus(Sums a, Sums b) { return vaddq_s32(a, b); }
  static Sums widen(const uint8_t* p) { return vmovl_s16(vget_low_s16(vmovl_s8(vget_low_s8(four_of(p))))); }

  static int32_t start(int32_t) { return 0; }
  static Weights weights(const uint8_t* p) { return vreinterpretq_s8_u8(vld1q_u8(p)); }
  static Inputs inputs(const int8_t* p) { return four_of(p); }
  static Halves halves(const uint8_t* p) {
    const uint8x16_t both = vld1q_u8(p);
    return {vreinterpretq_s8_u8(vandq_u8(both, vdupq_n_u8(15))), vreinterpretq_s8_u8(vshrq_n_u8(both, 4))};
  }
  static Sums add(Sums sums, int8x16_t w, Inputs x) {
#if defined(__ARM_FEATURE_DOTPROD)
    return vdotq_s32(sums, w, x);
#else
    // Sums of two products fit into an int16.
    const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
    return vpadalq_s16(sums, vpaddq_s16(low, high));
#endif
  }

 private:
  /// Four bytes, again and again.
  static int8x16_t four_of(const void* p) {
    int32_t four;
    std::memcpy(&four, p, sizeof four);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
  }
};

#else

/// Plain C++, in the shape that compilers turn into vector registers.
struct Dot4 {
  static constexpr int kLanes = 16, kRows = 1, kVecs = 1, kFewRows = 1;
  struct Sums {
    int32_t v[kLanes];
  };
  struct Weights {
    const uint8_t* w;
  };
  struct Inputs {
    const int8_t* x;
  };
  struct Bytes {
    uint8_t v[4 * kLanes];
  };
  struct Halves {
    Bytes low, high;
  };

  template <typename F>
  static Sums map(F f) {
    Sums sums;
    for (int i = 0; i < kLanes; ++i) sums.v[i] = f(i);
    return sums;
  }
  static Sums set(int32_t x) {
    return map([=](int) { return x; });
  }
  static Sums load(const int32_t* p) {
    return map([=](int i) { return p[i]; });
  }
  static void store(int32_t* p, const Sums& sums) { std::memcpy(p, sums.v, sizeof sums.v); }
  static Sums multiply(const Sums& a, const Sums& b) {
    return map([&](int i) { return a.v[i] * b.v[i]; });
  }
  static Sums plus(const Sums& a, const Sums& b) {
    return map([&](int i) { return a.v[i] + b.v[i]; });
  }
  static Sums widen(const uint8_t* p) {
    return map([=](int i) { return static_cast<int8_t>(p[i]); });
  }

  static int32_t start(int32_t) { return 0; }
  static Weights weights(const uint8_t* p) { return {p}; }
  static Inputs inputs(const int8_t* p) { return {p}; }
  static Halves halves(const uint8_t* p) {
    Halves out;
    for (int i = 0; i < 4 * kLanes; ++i) out.low.v[i] = p[i] & 15;
    for (int i = 0; i < 4 * kLanes; ++i) out.high.v[i] = p[i] >> 4;
    return out;
  }
  static Sums add(const Sums& sums, Weights w, Inputs in) {
    return add_products(sums, in, [=](int i) { return static_cast<int8_t>(w.w[i]); });
  }
  static Sums add(const Sums& sums, const Bytes& bytes, Inputs in) {
    return add_products(sums, in, [&](int i) { return bytes.v[i]; });
  }

 private:
  template <typename F>
  static Sums add_products(const Sums& sums, Inputs in, F w) {
    return map([&](int i) {
      return sums.v[i] + w(4 * i) * in.x[0] + w(4 * i + 1) * in.x[1] + w(4 * i + 2) * in.x[2] + w(4 * i + 3) * in.x[3];
    });
  }
};

#endif

}  // namespace heddle::cpu::HEDDLE_ISA
