#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace heddle {

// Weights of integers, for `linear` alone: whole numbers with one scale per output n.
//
//   int8   w[n, k] = scale[n] · q[n, k],                    q in [-127, 127]
//   int4   w[n, k] = scale[n] · m[n, k / 32] · q[n, k],     q in [-8, 7], m in [-15, 15]
//
// What an int4 weight multiplies, m · q, is a whole number in [-120, 120]: an int8 weight in less memory, 4.25 bits. So
// both formats have one arithmetic, that of int8, whose sums are exact in any order; a group's own scale costs one
// multiplication of integers where weights are read once, and none where a panel is widened to int8 for many rows.
// Groups of 64 would save 3 % of the memory and add a tenth to the error.
//
// A panel has the 64 outputs n of a panel of floats, one after the other in memory:
//
//   float32 [64]           scales
//
//   int8:                  K is filled up to a multiple of 64 with zeros
//   int8 [K / 4][64][4]    of each four inputs, four bytes an output
//
//   int4:                  K is filled up to a multiple of 32 with zeros; of each group of 32 inputs
//   int8 [64]              m
//   uint8 [4][64][4]       of each eight inputs k to k + 7, four bytes an output: byte i has q + 8 of input k + i in
//                          its low half, that of k + 4 + i in its high one

constexpr int64_t kGroup = 32;
constexpr int64_t kScaleBytes = kPanelWidth * 4;
constexpr int64_t kInt4GroupBytes = kPanelWidth + kGroup / 2 * kPanelWidth;

/// K filled up.
inline constexpr int64_t padded_inputs(DType dtype, int64_t k) {
  const int64_t step = dtype == DType::kInt8 ? 64 : kGroup;
  return (k + step - 1) / step * step;
}

inline constexpr int64_t panel_bytes(DType dtype, int64_t k) {
  const int64_t inputs = padded_inputs(dtype, k);
  return kScaleBytes + (dtype == DType::kInt8 ? inputs * kPanelWidth : inputs / kGroup * kInt4GroupBytes);
}

/// Puts row n of a weight, `row` [k], into its panel, whose memory was zero. A scale is the largest magnitude by 127;
/// for int4 by 120, and of the multipliers next to what a group's largest element asks for the
/// one with the least squared error is taken. A row that is not finite has a scale of NaN.
void quantize_row(DType dtype, const float* row, int64_t k, int64_t n, uint8_t* panels);

/// Row n as the numbers that its integers mean.
void dequantize_row(DType dtype, const uint8_t* panels, int64_t k, int64_t n, float* row);

}  // namespace heddle
