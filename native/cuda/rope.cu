#include "cuda/kernels.h"
#include "cuda/reduce.h"
#include "ops/rope.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

template <typename T>
struct Turn {
  int64_t heads, width, pairs;
  int64_t token_step, head_step;
  float factor;
  bool interleaved;
  const T* x;
  const int32_t* positions;
  const float* frequencies;
  T* out;
};

/// A block a token: its heads share the cosines and sines.
template <typename T>
HEDDLE_KERNEL(kThreads)
rotate(Turn<T> p) {
  float* const cosine = dynamic_shared();
  float* const sine = cosine + p.pairs;
  const int64_t n = block_x();
  for (int64_t i = thread_index(); i < p.pairs; i += kThreads) {
    const float angle = static_cast<float>(p.positions[n]) * p.frequencies[i];
    cosine[i] = cosf(angle) * p.factor;
    sine[i] = sinf(angle) * p.factor;
  }
  sync_block();
  const int64_t step = p.interleaved ? 2 : 1, partner = p.interleaved ? 1 : p.pairs;
  const T* const x = p.x + n * p.token_step;
  T* const out = p.out + n * p.heads * p.width;
  for (int64_t at = thread_index(); at < p.heads * p.pairs; at += kThreads) {
    const int64_t h = at / p.pairs, i = at % p.pairs;
    const T* const from = x + h * p.head_step + i * step;
    T* const to = out + h * p.width + i * step;
    const float a = widen(from[0]), b = widen(from[partner]);
    to[0] = narrow<T>(a * cosine[i] - b * sine[i]);
    to[partner] = narrow<T>(b * cosine[i] + a * sine[i]);
  }
  const int64_t rest = p.width - 2 * p.pairs;
  for (int64_t at = thread_index(); at < p.heads * rest; at += kThreads) {
    const int64_t h = at / rest, i = 2 * p.pairs + at % rest;
    out[h * p.width + i] = x[h * p.head_step + i];
  }
}

struct Scaling {
  int64_t count;  // of last positions
  double base, factor;
  int64_t max_positions, rotary_width;
  const int32_t* last;
  float* out;
};

/// One block.
HEDDLE_KERNEL(kThreads) scale_frequencies(Scaling p) {
  HEDDLE_SHARED(WarpSlots<int64_t>, slots);
  const auto larger = [](int64_t a, int64_t b) { return a > b ? a : b; };
  int64_t length = 0;
  for (int64_t i = thread_index(); i < p.count; i += kThreads) length = larger(length, p.last[i] + int64_t{1});
  length = reduce_block(length, slots, larger);
  const double width = static_cast<double>(p.rotary_width);
  double base = p.base;
  if (length > p.max_positions) {
    const double growth = p.factor * static_cast<double>(length) / static_cast<double>(p.max_positions);
    base *= pow(growth - (p.factor - 1), width / (width - 2));
  }
  for (int64_t i = thread_index(); i < p.rotary_width / 2; i += kThreads) {
    p.out[i] = static_cast<float>(1 / pow(base, 2 * static_cast<double>(i) / width));
  }
}

}  // namespace

Status run(const Rope& op, CudaContext& context) {
  const Tensor& x = *op.x;
  const int64_t pairs = op.frequencies->shape[0];
  return with_float_type(x.dtype, [&](auto type) {
    using T = decltype(type);
    const Turn<T> turn{x.shape[1],
                       x.shape[2],
                       pairs,
                       x.strides[0],
                       x.strides[1],
                       op.factor,
                       op.interleaved,
                       x.data<T>(),
                       op.positions->data<int32_t>(),
                       op.frequencies->data<float>(),
                       op.out->data<T>()};
    return launch(rotate<T>, {x.shape[0], kThreads, 1, static_cast<size_t>(2 * pairs) * sizeof(float)}, context, turn);
  });
}

Status run(const DynamicFrequencies& op, CudaContext& context) {
  const Scaling scaling{op.last->numel(),     op.base,         op.factor,
                        op.max_positions,     op.rotary_width, op.last->data<int32_t>(),
                        op.out->data<float>()};
  return launch(scale_frequencies, {1, kThreads}, context, scaling);
}

}  // namespace heddle::cuda
