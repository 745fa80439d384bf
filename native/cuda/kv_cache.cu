#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "cuda/pages.h"
#include "ops/kv_cache.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// x [Bq, Tq, Hkv, D], any strides. T: an unsigned type of an element's size.
template <typename T>
struct Tokens {
  const T* data;
  int64_t length;
  int64_t batch_step, token_step, head_step, step;
};

template <typename T>
Tokens<T> tokens_of(const Tensor* x) {
  return {x->data<T>(), x->shape[1], x->strides[0], x->strides[1], x->strides[2], x->strides[3]};
}

template <typename T>
HEDDLE_DEVICE const T* token(const Tokens<T>& x, int64_t n, int64_t head) {
  return x.data + n / x.length * x.batch_step + n % x.length * x.token_step + head * x.head_step;
}

/// A block one token of one head. The first block checks the values too.
template <typename T>
HEDDLE_KERNEL(kThreads)
append(Pages p, Tokens<T> k, Tokens<T> v, unsigned long long* failure) {
  if (block_x() == 0) check_pages(p, 0, failure);
  const int64_t n = block_x() / p.kv_heads, head = block_x() % p.kv_heads;
  if (n >= p.tokens || p.batch == 0) return;
  const int64_t b = sequence_at(p, n);
  const Sequence sequence = sequence_of(p, b);
  const int64_t at = p.lengths[b] + n - sequence.first;
  if (n < sequence.first || at < 0 || at >= sequence.keys) return;
  T* const keys = page_of<T>(p, b, at / kPageKeys, head);
  if (!keys) return;
  const int64_t slot = at % kPageKeys;
  const T* const from_k = token(k, n, head);
  for (int64_t d = thread_index(); d < p.key_width; d += kThreads) {
    keys[key_place<T>(slot, d)] = from_k[d * k.step];
  }
  const T* const from_v = token(v, n, head);
  for (int64_t d = thread_index(); d < p.padded_value_width; d += kThreads) {
    keys[value_place<T>(p.value_offset, p.padded_value_width, slot, d)] = d < p.value_width ? from_v[d * v.step] : T{};
  }
}

/// One block: no length changes unless all may.
HEDDLE_KERNEL(kThreads)
advance(int64_t batch, const int32_t* cu, int32_t* lengths, unsigned long long* failure) {
  bool wrong = false;
  for (int64_t b = thread_index(); b < batch; b += kThreads) {
    const int64_t tokens = int64_t{cu[b + 1]} - cu[b];
    if (tokens >= 0 && lengths[b] + tokens <= INT32_MAX) continue;
    report(failure, Fault::kIndex, b, tokens);
    wrong = true;
  }
  if (any_of_block(wrong)) return;
  for (int64_t b = thread_index(); b < batch; b += kThreads) lengths[b] += cu[b + 1] - cu[b];
}

}  // namespace

Status run(const AppendKV& op, CudaContext& context) {
  const int64_t tokens = op.k->shape[0] * op.k->shape[1];
  const Pages pages = pages_of(op.cache, op.cu_seqlens, tokens);
  const Grid grid{std::max<int64_t>(1, tokens * pages.kv_heads), kThreads};
  return with_bits_type(op.k->dtype, [&](auto type) {
    using T = decltype(type);
    return launch(append<T>, grid, context, pages, tokens_of<T>(op.k), tokens_of<T>(op.v), context.failure);
  });
}

Status run(const AdvanceLengths& op, CudaContext& context) {
  return launch(advance, {1, kThreads}, context, op.lengths->numel(), op.cu_seqlens->data<int32_t>(),
                op.lengths->data<int32_t>(), context.failure);
}

}  // namespace heddle::cuda
