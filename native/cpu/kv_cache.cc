#include "ops/kv_cache.h"

#include <algorithm>

#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// Token `n` of x [Bq, Tq, H, D], head `h`.
template <typename T>
const T* token(const Tensor* x, int64_t n, int64_t h) {
  const int64_t length = x->shape[1];
  return x->data<T>() + n / length * x->strides[0] + n % length * x->strides[1] + h * x->strides[2];
}

template <typename T>
void append(const AppendKV& op, KernelContext& context) {
  check_values(AppendKV::kName, op.cu_seqlens, op.k->shape[0] * op.k->shape[1], op.cache, 0);
  const PageShape shape = op.cache.shape;
  const int32_t* cu = op.cu_seqlens->data<int32_t>();
  const int32_t* lengths = op.cache.lengths->data<int32_t>();
  const int32_t* table = op.cache.block_table->data<int32_t>();
  const int64_t batch = op.cache.lengths->numel(), table_width = op.cache.block_table->shape[1];
  const int64_t heads = op.cache.pages->shape[1];
  T* pages = op.cache.pages->data<T>();
  const int64_t k_step = op.k->strides[3], v_step = op.v->strides[3];
  const int64_t padded = shape.padded_value_width();
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t first = lengths[b], end = first + cu[b + 1] - cu[b];
    if (end == first) continue;
    // One tile a head and page touched.
    const int64_t first_page = first / kPageKeys, page_count = (end - 1) / kPageKeys - first_page + 1;
    const double floats = static_cast<double>(std::min(kPageKeys, end - first) * (shape.key_width + padded));
    context.parallel_for(heads * page_count, floats, [&](int64_t tile) {
      const int64_t h = tile / page_count, page = first_page + tile % page_count;
      T* keys = pages + (table[b * table_width + page] * heads + h) * shape.elements();
      T* values = keys + shape.value_offset();
      const int64_t last = std::min(end, (page + 1) * kPageKeys);
      for (int64_t j = std::max(first, page * kPageKeys); j < last; ++j) {
        const int64_t slot = j % kPageKeys, n = cu[b] + j - first;
        const T* k = token<T>(op.k, n, h);
        for (int64_t d = 0; d < shape.key_width; ++d) keys[d * kPageKeys + slot] = k[d * k_step];
        const T* v = token<T>(op.v, n, h);
        T* to = values + slot * padded;
        for (int64_t d = 0; d < shape.value_width; ++d) to[d] = v[d * v_step];
        for (int64_t d = shape.value_width; d < padded; ++d) to[d] = T{};
      }
    });
  }
}

}  // namespace

void run(const AppendKV& op, KernelContext& context) {
  with_float_type(op.cache.pages->dtype, [&](auto type) { append<decltype(type)>(op, context); });
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
