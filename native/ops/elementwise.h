#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out = a dense copy of x.
struct Copy {
  static constexpr const char* kName = "copy";
  const Tensor* x;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};

/// out = x in the dtype of out, any of them to any. Floats are rounded to the nearest, of two to the even one; to int32
/// they are cut, and NaN gives 0, what lies outside the nearest end. To bool: whether x differs from 0. To its own
/// dtype it is a view.
struct Cast {
  static constexpr const char* kName = "cast";
  const Tensor* x;  // any strides
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {x}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* cast(Runtime& runtime, Cast op, DType dtype);

/// x itself if it is dense, else a dense copy.
const Tensor* dense(Runtime& runtime, const Tensor* x);

/// Which function of two numbers. What has a NaN gives one.
enum class BinaryKind : int32_t { kAdd, kSub, kMul, kDiv, kMaximum, kMinimum };

/// out = a + b, or another function of two numbers: all of one float dtype, with NumPy's broadcasting (axes are aligned
/// at the last, and a size of 1 is repeated), computed in float32. Throws RangeError where the shapes do not broadcast.
struct Binary {
  static constexpr const char* kName = "binary";
  const Tensor* a;
  const Tensor* b;
  BinaryKind kind;
  Tensor* out = nullptr;

  std::array<const Tensor*, 2> reads() const { return {a, b}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
/// `function` is what messages say.
Tensor* binary(Runtime& runtime, const char* function, Binary op);

/// out = a where the condition is true, else b, with NumPy's broadcasting of the three.
///
///   condition  bool
///   a, b, out  of one dtype, any
struct Where {
  static constexpr const char* kName = "where";
  const Tensor* condition;
  const Tensor* a;
  const Tensor* b;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {condition, a, b}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* where(Runtime& runtime, Where op);

}  // namespace heddle
