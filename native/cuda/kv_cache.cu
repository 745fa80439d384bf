#include <algorithm>

#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "cuda/pages.h"
#include "cuda/reduce.h"
#include "cuda/to_integers.h"
#include "ops/kv_cache.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// x [Bq, Tq, Hkv, D], any strides.
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

/// x [width], one coordinate every `step`, as a page has it, with zeros behind up to `filled`: place(d) is where.
template <typename T, typename C, typename Place>
HEDDLE_DEVICE void put(const T* x, int64_t step, int64_t width, int64_t filled, C* page, const Place& place,
                       float* scale) {
  const auto put_all = [&](const auto& element) {
    for (int64_t d = thread_index(); d < filled; d += kThreads) page[place(d)] = d < width ? element(x[d * step]) : C{};
  };
  if constexpr (std::is_same_v<C, T>) {
    put_all([](T one) { return one; });
  } else if constexpr (std::is_same_v<C, int8_t>) {
    HEDDLE_SHARED(WarpSlots<uint32_t>, slots);
    uint32_t largest = 0;
    for (int64_t d = thread_index(); d < width; d += kThreads) {
      largest = LargestBits{}(largest, magnitude_bits(widen(x[d * step])));
    }
    const ToIntegers to_integers(reduce_block(largest, slots, LargestBits{}));
    put_all([&](T one) { return to_integers(widen(one)); });
    if (thread_index() == 0) *scale = to_integers.scale;
  } else {
    put_all([](T one) { return narrow<C>(widen(one)); });
  }
}

/// A block one token of one head. The first block checks the values too. T: what keys and values are, C: what the cache
/// makes of them; where that is the same, an unsigned type of its size.
template <typename T, typename C>
HEDDLE_KERNEL(kThreads)
append(Pages p, Tokens<T> k, Tokens<T> v, unsigned long long* failure) {
  if (block_x() == 0) check_pages(p, 0, failure);
  const int64_t n = block_x() / p.kv_heads, head = block_x() % p.kv_heads;
  if (n >= p.tokens || p.batch == 0) return;
  const int64_t b = sequence_at(p, n);
  const Sequence sequence = sequence_of(p, b);
  const int64_t at = p.lengths[b] + n - sequence.first;
  if (n < sequence.first || at < 0 || at >= sequence.keys) return;
  C* const page = page_of<C>(p, b, at / kPageKeys, head);
  if (!page) return;
  const int64_t slot = at % kPageKeys;
  float* const scales = scales_of(p, page) + slot;
  put(
      token(k, n, head), k.step, p.key_width, p.key_width, page, [&](int64_t d) { return key_place<C>(slot, d); },
      scales);
  put(
      token(v, n, head), v.step, p.value_width, p.padded_value_width, page,
      [&](int64_t d) { return value_place<C>(p.value_offset, p.padded_value_width, slot, d); }, scales + kPageKeys);
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

template <typename T, typename C>
Status append_as(const AppendKV& op, CudaContext& context) {
  const int64_t tokens = op.k->shape[0] * op.k->shape[1];
  const Pages pages = pages_of(op.cache, op.cu_seqlens, tokens);
  const Grid grid{std::max<int64_t>(1, tokens * pages.kv_heads), kThreads};
  return launch(append<T, C>, grid, context, pages, tokens_of<T>(op.k), tokens_of<T>(op.v), context.failure);
}

}  // namespace

Status run(const AppendKV& op, CudaContext& context) {
  const DType dtype = op.cache.pages->dtype;
  if (dtype == op.k->dtype) {
    return with_bits_type(dtype, [&](auto type) { return append_as<decltype(type), decltype(type)>(op, context); });
  }
  if (dtype == DType::kFloat16) return append_as<float, Float16>(op, context);
  if (dtype == DType::kBFloat16) return append_as<float, BFloat16>(op, context);
  return with_float_type(op.k->dtype, [&](auto type) { return append_as<decltype(type), int8_t>(op, context); });
}

Status run(const AdvanceLengths& op, CudaContext& context) {
  return launch(advance, {1, kThreads}, context, op.lengths->numel(), op.cu_seqlens->data<int32_t>(),
                op.lengths->data<int32_t>(), context.failure);
}

}  // namespace heddle::cuda
