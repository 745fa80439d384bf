#include "ops/kv_cache.h"

#include <algorithm>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/to_integers.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// Token `n` of x [Bq, Tq, H, D], head `h`.
template <typename T>
const T* token(const Tensor* x, int64_t n, int64_t h) {
  const int64_t length = x->shape[1];
  return x->data<T>() + n / length * x->strides[0] + n % length * x->strides[1] + h * x->strides[2];
}

/// x [width] as a page has it, one coordinate every `step`; of int8, by way of `row` [2 · width].
template <typename T, typename C>
void put(const T* x, int64_t x_step, int64_t width, C* to, int64_t step, float* scale, float* row) {
  if constexpr (std::is_same_v<C, int8_t>) {
    for (int64_t d = 0; d < width; ++d) row[d] = to_float(x[d * x_step]);
    auto* const integers = reinterpret_cast<int8_t*>(row + width);
    *scale = to_integers(row, width, integers);
    for (int64_t d = 0; d < width; ++d) to[d * step] = integers[d];
  } else if constexpr (std::is_same_v<C, T>) {
    if (step == 1 && x_step == 1) {
      std::copy_n(x, width, to);
    } else {
      for (int64_t d = 0; d < width; ++d) to[d * step] = x[d * x_step];
    }
  } else {
    for (int64_t d = 0; d < width; ++d) to[d * step] = from_float<C>(to_float(x[d * x_step]));
  }
}

/// T: what keys and values are; C: what the cache makes of them.
template <typename T, typename C>
void append(const AppendKV& op, KernelContext& context) {
  check_values(AppendKV::kName, op.cu_seqlens, op.k->shape[0] * op.k->shape[1], op.cache, 0);
  const PageShape shape = op.cache.shape;
  const int32_t* cu = op.cu_seqlens->data<int32_t>();
  const int32_t* lengths = op.cache.lengths->data<int32_t>();
  const int32_t* table = op.cache.block_table->data<int32_t>();
  const int64_t batch = op.cache.lengths->numel(), table_width = op.cache.block_table->shape[1];
  const int64_t heads = op.cache.pages->shape[1];
  C* pages = op.cache.pages->data<C>();
  const int64_t k_step = op.k->strides[3], v_step = op.v->strides[3];
  const int64_t padded = shape.padded_value_width(), widest = std::max(shape.key_width, shape.value_width);
  const Scratch<float> rows(context.allocator, 2 * widest * context.threads);
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t first = lengths[b], end = first + cu[b + 1] - cu[b];
    if (end == first) continue;
    // One tile a head and page touched.
    const int64_t first_page = first / kPageKeys, page_count = (end - 1) / kPageKeys - first_page + 1;
    const double floats = static_cast<double>(std::min(kPageKeys, end - first) * (shape.key_width + padded));
    context.parallel_for(heads * page_count, floats, [&](int64_t tile, int worker) {
      const int64_t h = tile / page_count, page = first_page + tile % page_count;
      C* keys = pages + (table[b * table_width + page] * heads + h) * op.cache.pages->shape[2];
      C* values = keys + shape.value_offset();
      auto* const scales = reinterpret_cast<float*>(keys + shape.scales_offset());
      float* const row = rows.get() + 2 * worker * widest;
      const int64_t last = std::min(end, (page + 1) * kPageKeys);
      for (int64_t j = std::max(first, page * kPageKeys); j < last; ++j) {
        const int64_t slot = j % kPageKeys, n = cu[b] + j - first;
        put(token<T>(op.k, n, h), k_step, shape.key_width, keys + slot, kPageKeys, scales + slot, row);
        C* to = values + slot * padded;
        put(token<T>(op.v, n, h), v_step, shape.value_width, to, 1, scales + kPageKeys + slot, row);
        for (int64_t d = shape.value_width; d < padded; ++d) to[d] = C{};
      }
    });
  }
}

}  // namespace

void run(const AppendKV& op, KernelContext& context) {
  const DType dtype = op.cache.pages->dtype;
  with_float_type(op.k->dtype, [&](auto type) {
    using T = decltype(type);
    if (dtype == op.k->dtype) return append<T, T>(op, context);
    if (dtype == DType::kInt8) return append<T, int8_t>(op, context);
    if constexpr (std::is_same_v<T, float>) {  // no other is narrowed: see check_goes_with
      with_float_type(dtype, [&](auto half) { append<T, decltype(half)>(op, context); });
    }
  });
}

void run(const AdvanceLengths& op, KernelContext&) {
  const int32_t* cu = op.cu_seqlens->data<int32_t>();
  int32_t* lengths = op.lengths->data<int32_t>();
  for (int64_t b = 0; b < op.lengths->numel(); ++b) {
    const int64_t tokens = int64_t{cu[b + 1]} - cu[b];
    if (tokens < 0 || lengths[b] + tokens > INT32_MAX) op.fail(b, tokens);
  }
  for (int64_t b = 0; b < op.lengths->numel(); ++b) lengths[b] += cu[b + 1] - cu[b];
}

}  // namespace heddle::cpu::HEDDLE_ISA
