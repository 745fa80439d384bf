#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {
namespace {

void check_scale(float scale) {
  if (!std::isfinite(scale)) throw_range_error("[attention] scale must be a finite number but got ", scale);
}

void check_heads(int64_t heads, int64_t kv_heads) {
  if (kv_heads == 0 || heads % kv_heads != 0) {
    throw_range_error("[attention] the query heads H=", heads, " must be a multiple of the key heads Hkv=", kv_heads);
  }
}

/// x [B, H, T, D] as [B, T, H, D], innermost axis dense.
const Tensor* heads_inside(Runtime& runtime, const Tensor* x) {
  if (x->shape[3] > 1 && x->strides[3] != 1) x = dense(runtime, x);
  const Shape shape{x->shape[0], x->shape[2], x->shape[1], x->shape[3]};
  const Shape strides{x->strides[0], x->strides[2], x->strides[1], x->strides[3]};
  return runtime.make_view(x, shape, strides, x->offset);
}

Tensor* int32_tensor(Runtime& runtime, const Tensor* beside, const Shape& shape, const std::vector<int32_t>& values) {
  return runtime.make_filled(beside, DType::kInt32, shape, values.data());
}

/// 0, step, 2 step, …: `count` + 1 values.
std::vector<int32_t> multiples(int64_t count, int64_t step) {
  std::vector<int32_t> values;
  for (int64_t i = 0; i <= count; ++i) values.push_back(static_cast<int32_t>(i * step));
  return values;
}

}  // namespace

AttentionResult attention(Runtime& runtime, Attention op, const MaskExpression& mask, bool return_lse) {
  check_floats(Attention::kName, "q", op.q);
  check_rank(Attention::kName, "q", op.q, 4, 4);
  const int64_t batch = op.cache.block_table->shape[0];
  check_cache(Attention::kName, op.cache, batch);
  check_same_dtype(Attention::kName, "q", op.q, "the cache", op.cache.pages);
  check_int32_vector(Attention::kName, "cuSeqlens", op.cu_seqlens, batch + 1);
  check_heads(op.q->shape[2], op.cache.pages->shape[1]);
  check_scale(op.scale);
  op.mask = mask.operand(runtime, Attention::kName, op.q, batch, op.q->shape[2]);
  if (op.q->shape[3] != op.cache.shape.key_width) {
    throw_range_error("[attention] q must have head width ", op.cache.shape.key_width, " but got shape ", op.q->shape);
  }
  if (op.q->shape[3] > 1 && op.q->strides[3] != 1) op.q = dense(runtime, op.q);
  const Shape shape{op.q->shape[0], op.q->shape[1], op.q->shape[2], op.cache.shape.value_width};
  op.out = runtime.make(op.q, op.q->dtype, shape);
  if (return_lse) op.lse = runtime.make(op.q, DType::kFloat32, Shape{shape[0], shape[1], shape[2]});
  runtime.submit(op);
  return {op.out, op.lse};
}

AttentionResult attention(Runtime& runtime, const DenseAttention& op, bool return_lse) {
  for (const auto& [name, tensor] : {std::pair{"q", op.q}, std::pair{"k", op.k}, std::pair{"v", op.v}}) {
    check_floats_as(Attention::kName, name, tensor, "q", op.q);
    check_rank(Attention::kName, name, tensor, 4, 4);
  }
  const int64_t batch = op.q->shape[0], queries = op.q->shape[2];
  const int64_t kv_heads = op.k->shape[1], keys = op.k->shape[2];
  check_heads(op.q->shape[1], kv_heads);
  check_scale(op.scale);
  check_shape(Attention::kName, "k", op.k, Shape{batch, kv_heads, keys, op.q->shape[3]});
  check_shape(Attention::kName, "v", op.v, Shape{batch, kv_heads, keys, op.v->shape[3]});
  op.mask.check_extent(Attention::kName, queries, keys);

  // The keys and values become pages of a cache that lives for this call: one kernel, one arithmetic.
  const PageShape page{op.k->shape[3], op.v->shape[3]};
  const int64_t pages = std::max<int64_t>(1, (keys + kPageKeys - 1) / kPageKeys);
  if (std::max(batch, int64_t{1}) * std::max({pages, keys, queries, int64_t{1}}) > INT32_MAX) {
    throw_range_error("[attention] q ", op.q->shape, " and k ", op.k->shape, " are too long");
  }
  Tensor* const storage = runtime.make(op.k, op.k->dtype, Shape{batch * pages, kv_heads, page.elements()});
  std::vector<int32_t> table = multiples(batch * pages, 1);
  table.pop_back();
  const std::vector<int32_t> none(batch, 0), before(batch, static_cast<int32_t>(keys - queries));
  PagedKV cache{storage, int32_tensor(runtime, op.q, Shape{batch, pages}, table),
                int32_tensor(runtime, op.q, Shape{batch}, none), page};
  append_kv(runtime, {heads_inside(runtime, op.k), heads_inside(runtime, op.v),
                      int32_tensor(runtime, op.q, Shape{batch + 1}, multiples(batch, keys)), cache});
  cache.lengths = int32_tensor(runtime, op.q, Shape{batch}, before);
  const Attention ragged{heads_inside(runtime, op.q),
                         int32_tensor(runtime, op.q, Shape{batch + 1}, multiples(batch, queries)), cache, op.scale,
                         op.causal};
  auto [out, lse] = attention(runtime, ragged, op.mask, return_lse);
  const Shape shape{batch, op.q->shape[1], queries, page.value_width};
  const Shape strides{out->strides[0], out->strides[2], out->strides[1], out->strides[3]};
  out = runtime.make_view(out, shape, strides, 0);
  return {out, lse ? transpose(runtime, lse, 1, 2) : nullptr};
}

}  // namespace heddle
