#include "cuda/failure.h"
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

/// (a, b) → (a cos - b sin, b cos + a sin) for pair i of a head.
template <typename T>
HEDDLE_DEVICE void turn(const T* from, T* to, int64_t i, int64_t pairs, bool interleaved, float cosine, float sine) {
  const int64_t first = interleaved ? 2 * i : i, second = interleaved ? first + 1 : i + pairs;
  const float a = widen(from[first]), b = widen(from[second]);
  to[first] = narrow<T>(a * cosine - b * sine);
  to[second] = narrow<T>(b * cosine + a * sine);
}

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
  const T* const x = p.x + n * p.token_step;
  T* const out = p.out + n * p.heads * p.width;
  for (int64_t at = thread_index(); at < p.heads * p.pairs; at += kThreads) {
    const int64_t h = at / p.pairs, i = at % p.pairs;
    turn(x + h * p.head_step, out + h * p.width, i, p.pairs, p.interleaved, cosine[i], sine[i]);
  }
  const int64_t rest = p.width - 2 * p.pairs;
  for (int64_t at = thread_index(); at < p.heads * rest; at += kThreads) {
    const int64_t h = at / rest, i = 2 * p.pairs + at % rest;
    out[h * p.width + i] = x[h * p.head_step + i];
  }
}

template <typename T>
struct TurnByTable {
  int64_t heads, tokens, width, pairs;
  int64_t batch_step, head_step, token_step;  // of x
  int64_t rows, table_step;                   // of the tables; a sequence's first row, without positions
  bool interleaved;
  const T* x;
  const float* cosine;
  const float* sine;
  const int32_t* positions;
  T* out;
};

/// A block a token.
template <typename T>
HEDDLE_KERNEL(kThreads)
rotate_by_table(TurnByTable<T> p, unsigned long long* failure) {
  const int64_t b = block_x() / p.tokens, t = block_x() % p.tokens;
  const int64_t row = p.positions ? p.positions[block_x()] : b * p.table_step + t;
  if (row < 0 || row >= p.rows) {
    if (thread_index() == 0) report(failure, Fault::kIndex, block_x(), row);
    return;
  }
  const T* const x = p.x + b * p.batch_step + t * p.token_step;
  T* const out = p.out + (b * p.heads * p.tokens + t) * p.width;
  const int64_t still = p.width - 2 * p.pairs, items = p.pairs + still;  // of a head: pairs, then coordinates that stay
  for (int64_t at = thread_index(); at < p.heads * items; at += kThreads) {
    const int64_t h = at / items, i = at % items;
    const T* const from = x + h * p.head_step;
    T* const to = out + h * p.tokens * p.width;
    if (i < p.pairs) {
      turn(from, to, i, p.pairs, p.interleaved, p.cosine[row * p.pairs + i], p.sine[row * p.pairs + i]);
    } else {
      to[p.pairs + i] = from[p.pairs + i];
    }
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

Status run(const Rotate& op, CudaContext& context) {
  const Shape &shape = op.x->shape, &strides = op.x->strides;
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const TurnByTable<T> turn{shape[1],
                              shape[2],
                              shape[3],
                              op.cosine->shape[1],
                              strides[0],
                              strides[1],
                              strides[2],
                              op.cosine->shape[0],
                              op.batch_step,
                              op.interleaved,
                              op.x->data<T>(),
                              op.cosine->data<float>(),
                              op.sine->data<float>(),
                              op.positions ? op.positions->data<int32_t>() : nullptr,
                              op.out->data<T>()};
    return launch(rotate_by_table<T>, {shape[0] * shape[2], kThreads}, context, turn, context.failure);
  });
}

Status run(const DynamicFrequencies& op, CudaContext& context) {
  const Scaling scaling{op.last->numel(),     op.base,         op.factor,
                        op.max_positions,     op.rotary_width, op.last->data<int32_t>(),
                        op.out->data<float>()};
  return launch(scale_frequencies, {1, kThreads}, context, scaling);
}

}  // namespace heddle::cuda
