#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// out = x, but out[index[i]] = rows[i]: rows put in other places, none where index[i] is -1. Of several for one place
/// the last counts.
///
///   x      [N, C] of a float dtype
///   index  [M] int32
///   rows   [M, C] of the same
///   out    [N, C]
///
/// An index outside [-1, N) fails when the op runs: INDEX_OUT_OF_RANGE.
struct ScatterRows {
  static constexpr const char* kName = "scatter_rows";
  const Tensor* x;
  const Tensor* index;
  const Tensor* rows;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {x, index, rows}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: index[at] is outside x.
  [[noreturn]] void fail(int64_t at, int32_t row) const;
};
Tensor* scatter_rows(Runtime& runtime, ScatterRows op);

/// out = cache, but out[b, …, first[b] + s, …] = update[b, …, s, …] along an axis (ONNX TensorScatter, opset 24).
///
///   cache, out  [B, ..., L, ...] of any dtype; L is the size of `axis`, which is not the first
///   update      [B, ..., S, ...], S ≤ L
///   first       [B] int32, or null: 0
///
/// If `circular`, what lies beyond L goes to the beginning. A first[b] below 0, or above L - S if not circular, fails
/// when the op runs: INDEX_OUT_OF_RANGE.
struct TensorScatter {
  static constexpr const char* kName = "tensor_scatter";
  const Tensor* cache;
  const Tensor* update;
  const Tensor* first;
  int axis;
  bool circular;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {cache, update, first}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: cache as [batch, outer, length, inner].
  struct Sizes {
    int64_t batch, outer, length, inner;
    int64_t updated;  // S
  };
  Sizes sizes() const {
    const Shape& shape = cache->shape;
    Sizes sizes{shape[0], 1, shape[axis], 1, update->shape[axis]};
    for (int i = 1; i < axis; ++i) sizes.outer *= shape[i];
    for (int i = axis + 1; i < shape.rank(); ++i) sizes.inner *= shape[i];
    return sizes;
  }
  /// For kernels: whether first[b] = at will do.
  bool fits(int64_t at, const Sizes& s) const { return at >= 0 && (circular || at <= s.length - s.updated); }
  /// For kernels: it will not.
  [[noreturn]] void fail(int64_t b, int32_t at) const;
};
Tensor* tensor_scatter(Runtime& runtime, TensorScatter op, int64_t axis);

}  // namespace heddle
