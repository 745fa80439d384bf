#include "cuda/kernels.h"
#include "cuda/reduce.h"
#include "ops/favor.h"
#include "ops/key_padding.h"

namespace heddle::cuda {
namespace {

constexpr int kTopThreads = 512;
constexpr int kThreads = 128;

template <typename T>
struct Problem {
  int64_t heads, tokens, width, features;
  int64_t batch_step, head_step, token_step;
  KeyPadding padding;
  bool softmax, queries;
  float eps;
  const T* x;
  const float* products;
  const float* tops;  // [B, H], of keys
  T* out;
};

/// A block a head: the largest product of its keys.
HEDDLE_KERNEL(kTopThreads)
largest_of_heads(int64_t heads, int64_t tokens, int64_t features, KeyPadding padding, const float* products,
                 float* tops) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  const int64_t b = block_x() / heads;
  products += block_x() * tokens * features;
  float top = -kInfinity;
  for (int64_t i = thread_index(); i < tokens * features; i += kTopThreads) {
    if (padding.keeps(b, i / features)) top = fmaxf(top, products[i]);
  }
  top = reduce_block(top, slots, Largest{});
  if (thread_index() == 0) tops[block_x()] = top;
}

/// A block a row.
template <typename T>
HEDDLE_KERNEL(kThreads)
map_features(HEDDLE_PARAMETER Problem<T> p) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  const int64_t row = block_x(), t = row % p.tokens, head = row / p.tokens % p.heads, b = row / p.tokens / p.heads;
  const T* const x = p.x + b * p.batch_step + head * p.head_step + t * p.token_step;
  const float* const products = p.products + row * p.features;
  T* const out = p.out + row * p.features;
  if (!p.padding.keeps(b, t)) {
    for (int64_t i = thread_index(); i < p.features; i += kThreads) out[i] = narrow<T>(0.0f);
    return;
  }
  float squares = 0.0f, top = -kInfinity;
  for (int64_t i = thread_index(); i < p.width; i += kThreads) squares += widen(x[i]) * widen(x[i]);
  squares = reduce_block(squares, slots, Sum{});
  if (p.queries) {
    for (int64_t i = thread_index(); i < p.features; i += kThreads) top = fmaxf(top, products[i]);
    top = reduce_block(top, slots, Largest{});
  } else if (p.softmax) {
    top = p.tops[row / p.tokens];
  }
  const float scale = 1.0f / sqrtf(sqrtf(static_cast<float>(p.width)));
  const float ratio = 1.0f / sqrtf(static_cast<float>(p.features));
  const float half = squares / 2 * scale * scale, shift = top * scale;
  for (int64_t i = thread_index(); i < p.features; i += kThreads) {
    const float product = products[i] * scale;
    const float positive = product < 0.0f ? 0.0f : product;  // NaN stays
    out[i] = narrow<T>(p.softmax ? ratio * (expf((product - half) - shift) + p.eps) : positive + p.eps);
  }
}

}  // namespace

Status run(const FavorFeatures& op, CudaContext& context) {
  if (op.out->numel() == 0) return kSuccess;
  const int64_t batch = op.x->shape[0], heads = op.x->shape[1], tokens = op.x->shape[2], features = op.out->shape[3];
  const KeyPadding padding = KeyPadding::of(op.padding, tokens);
  const float* const products = op.products->data<float>();
  float* tops = nullptr;
  if (op.softmax && !op.queries) {
    tops = static_cast<float*>(context.allocate(context.owner, sizeof(float) * batch * heads));
    if (!tops) return kOutOfMemory;
    const Status status = launch(largest_of_heads, {batch * heads, kTopThreads}, context, heads, tokens, features,
                                 padding, products, tops);
    if (status != kSuccess) return status;
  }
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const Problem<T> p{heads,
                       tokens,
                       op.x->shape[3],
                       features,
                       op.x->strides[0],
                       op.x->strides[1],
                       op.x->strides[2],
                       padding,
                       op.softmax,
                       op.queries,
                       op.eps,
                       op.x->data<T>(),
                       products,
                       tops,
                       op.out->data<T>()};
    return launch(map_features<T>, {batch * heads * tokens, kThreads}, context, p);
  });
}

}  // namespace heddle::cuda
