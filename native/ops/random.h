#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Random numbers are Philox 4x32-10 (Salmon et al., 2011, section 4.1), keyed by seed and counted by step and by the
/// row-major index of an element: the same whatever computes them, and in whatever order.
///
///   seed  [2] int32: low and high half
///   step  [1] int32: which draw this is, such as a training step or a sample of a Monte Carlo estimate

enum class Distribution : int32_t {
  kUniform,  // low + (high - low) u, u in [0, 1) of 24 bits: the same bits on every device
  kNormal,   // mean + deviation · a standard normal number (Box and Muller, 1958)
};

/// out = random numbers of a float dtype, rounded from float32. `first` and `second` are low and high, or mean and
/// standard deviation.
struct Random {
  static constexpr const char* kName = "random";
  const Tensor* seed;
  const Tensor* step;
  Distribution distribution;
  float first;
  float second;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {seed, step}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// Throws RangeError for numbers that are not finite, high < low, or a negative deviation.
Tensor* random(Runtime& runtime, Random op, DType dtype, const Shape& shape);

/// out = x / (1 - p) where an element is kept, with probability 1 - p, else 0 (Srivastava et al., 2014, section 10).
///
///   x, out  of one float dtype and any shape
struct Dropout {
  static constexpr const char* kName = "dropout";
  const Tensor* x;
  const Tensor* seed;
  const Tensor* step;
  double p;
  Tensor* out = nullptr;

  /// An element is dropped where its random word is below this: p · 2^32, rounded.
  uint64_t threshold() const { return static_cast<uint64_t>(p * 0x1p32 + 0.5); }

  std::array<const Tensor*, 3> reads() const { return {x, seed, step}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// Throws RangeError unless 0 ≤ p ≤ 1.
Tensor* dropout(Runtime& runtime, Dropout op);

/// Rows made orthogonal to those before them by Gram and Schmidt's method, applied twice, in float64: of length 1, or
/// as long as they were; then times `scale`. Rows that depend on those before come out as noise, or NaN.
///
///   x, out  [M, R, C] float32, M matrices on their own, R ≤ C
///
/// Of rows of independent normal numbers, the directions are uniform over all orthogonal frames, and their lengths are
/// independent of them (Mezzadri, 2007, section 5).
struct Orthogonalize {
  static constexpr const char* kName = "orthogonalize";
  const Tensor* x;
  bool keep_lengths;
  float scale;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* orthogonalize(Runtime& runtime, Orthogonalize op);

}  // namespace heddle
