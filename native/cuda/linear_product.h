#pragma once

#include "cuda/activation.h"
#include "cuda/launch.h"

// What linear layers of halves have in common, whichever instructions multiply.

namespace heddle::cuda {

/// A linear layer of halves: out [rows, n] = activation(x [rows, k] · weightᵀ + bias) + residual.
template <typename T>
struct Product {
  int64_t rows, n, k;
  bool float32_out;
  bool aligned_out;  // rows of out and residual may be accessed four elements at a time
  Activation activation;
  const T* x;
  const T* weight;
  const T* bias;
  const void* residual;
  void* out;
};

/// Tiles of some rows are worked on together, so that what is read of x and of the weight stays in the L2 cache.
struct Place {
  int64_t row, column;
};
template <typename Tile>
HEDDLE_DEVICE Place place_of_tile(int64_t index, int64_t rows, int64_t n) {
  constexpr int64_t kTogether = 8;
  const int64_t tiles_m = (rows + Tile::kRows - 1) / Tile::kRows, tiles_n = (n + Tile::kColumns - 1) / Tile::kColumns;
  const int64_t first = index / (kTogether * tiles_n) * kTogether, at = index % (kTogether * tiles_n);
  const int64_t together = tiles_m - first < kTogether ? tiles_m - first : kTogether;
  return {(first + at % together) * Tile::kRows, at / together * Tile::kColumns};
}

/// Four elements of any float dtype, the first `count` of them there: at once if `whole`.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
  T at[4];
};
template <typename T>
HEDDLE_DEVICE float4 read_four(const T* p, int64_t count, bool whole) {
  Four<T> four{};
  if (whole) {
    four = *reinterpret_cast<const Four<T>*>(p);
  } else {
    for (int i = 0; i < 4; ++i) {
      if (i < count) four.at[i] = p[i];
    }
  }
  return {widen(four.at[0]), widen(four.at[1]), widen(four.at[2]), widen(four.at[3])};
}
template <typename T>
HEDDLE_DEVICE void write_four(T* p, float4 v, int64_t count, bool whole) {
  const Four<T> four{{narrow<T>(v.x), narrow<T>(v.y), narrow<T>(v.z), narrow<T>(v.w)}};
  if (whole) {
    *reinterpret_cast<Four<T>*>(p) = four;
    return;
  }
  for (int i = 0; i < 4; ++i) {
    if (i < count) p[i] = four.at[i];
  }
}

/// Four sums of a row → activation(sums + bias) + residual.
template <typename Out, typename T>
HEDDLE_DEVICE void finish_four(const Product<T>& p, float4 sums, int64_t row, int64_t column) {
  const auto add = [](float a, float b) { return a + b; };
  const int64_t at = row * p.n + column, count = p.n - column;
  if (p.bias) sums = map_four(sums, read_four(p.bias + column, count, false), add);
  sums = map_four(sums, [&](float x) { return activate(x, p.activation); });
  if (p.residual) {
    sums = map_four(sums, read_four(static_cast<const Out*>(p.residual) + at, count, p.aligned_out), add);
  }
  write_four(static_cast<Out*>(p.out) + at, sums, count, p.aligned_out);
}

/// The products on a device of compute capability 9.0; k > 0.
Status linear_hopper(const Product<Float16>& product, CudaContext& context);
Status linear_hopper(const Product<BFloat16>& product, CudaContext& context);

}  // namespace heddle::cuda
