#pragma once

// The vector of the instruction set that this kernel is compiled for: one source, one set of kernels per level.
// `Vec` holds kWidth floats. Loads and stores of fewer lanes are masked, so that a tail runs through the same code.
// Halves are widened as they are loaded and rounded as they are stored, to the same bits as core/half.h's functions do;
// bytes are widened, too.
// `max(a, b)` gives b where either is NaN: with the data second, NaN survives.

#if defined(__AVX512F__)
#include "cpu/simd_avx512.h"
#elif defined(__AVX2__)
#include "cpu/simd_avx2.h"
#elif defined(HEDDLE_NEON)  // arm64 has it always: the level says so, not the compiler
#include "cpu/simd_neon.h"
#else
#include "cpu/simd_generic.h"
#endif

namespace heddle::cpu::HEDDLE_ISA {

/// x as a T holds it.
template <typename T>
inline Vec rounded_to(Vec x) {
  alignas(64) T lanes[Vec::kWidth];
  x.store(lanes);
  return Vec::load(lanes);
}
template <>
inline Vec rounded_to<float>(Vec x) {
  return x;
}
/// What has a scale is left as it is.
template <>
inline Vec rounded_to<int8_t>(Vec x) {
  return x;
}

}  // namespace heddle::cpu::HEDDLE_ISA
