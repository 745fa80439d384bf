#pragma once

#include "cuda/activation.h"
#include "cuda/launch.h"
#include "cuda/linear_tile.h"

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
