#pragma once

// The vector of the instruction set that this kernel is compiled for: one source, one set of kernels per level.
// `Vec` holds kWidth floats. Loads and stores of fewer lanes are masked, so that a tail runs through the same code.
// `max(a, b)` gives b where either is NaN: with the data second, NaN survives.

#if defined(__AVX512F__)
#include "cpu/simd_avx512.h"
#elif defined(__AVX2__)
#include "cpu/simd_avx2.h"
#else
#include "cpu/simd_generic.h"
#endif
