#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {
namespace {

void check_setting(const AttentionSetting& setting) {
  if (!std::isfinite(setting.scale)) {
    throw_range_error("[attention] scale must be a finite number but got ", setting.scale);
  }
  if (!std::isfinite(setting.softcap) || setting.softcap < 0) {
    throw_range_error("[attention] softcap must be a finite number of at least 0 but got ", setting.softcap);
  }
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

/// Indices below `limit` as a tensor; null for all, of which there are `limit`.
const Tensor* uploaded(Runtime& runtime, const char* argument, const IndexList& list, const Tensor* beside,
                       int64_t limit) {
  if (!list.values) return nullptr;
  for (int64_t i = 0; i < list.count; ++i) {
    if (list.values[i] >= 0 && list.values[i] < limit) continue;
    throw_range_error("[attention] ", argument, "[", i, "] must be in [0, ", limit, ") but got ", list.values[i]);
  }
  return runtime.make_filled(beside, DType::kInt32, Shape{list.count}, list.values);
}

Tensor* write_scores(Runtime& runtime, const ScoreInputs& inputs, const Tensor* sinks, const ScoreWish& wish) {
  const Shape& q = inputs.q->shape;
  AttentionScores op{inputs, wish.stage, sinks};
  op.rows = uploaded(runtime, "rows", wish.rows, inputs.q, q[0] * q[1]);
  op.heads = uploaded(runtime, "heads", wish.heads, inputs.q, q[2]);
  op.low = wish.low;
  op.distances = wish.distances;
  const int64_t rows = op.rows ? wish.rows.count : q[0] * q[1], heads = op.heads ? wish.heads.count : q[2];
  const int64_t keys = inputs.cache.block_table->shape[1] * kPageKeys;
  op.out = runtime.make(inputs.q, DType::kFloat32, Shape{rows, heads, wish.distances > 0 ? wish.distances : keys});
  runtime.submit(op);
  return op.out;
}

}  // namespace

AttentionResult attention(Runtime& runtime, const Tensor* q, const Tensor* cu_seqlens, const PagedKV& cache,
                          const AttentionSetting& setting, const AttentionWish& wish) {
  check_floats(Attention::kName, "q", q);
  check_rank(Attention::kName, "q", q, 4, 4);
  const int64_t batch = cache.block_table->shape[0];
  check_cache(Attention::kName, cache, batch);
  check_goes_with(Attention::kName, "q", q, cache);
  check_int32_vector(Attention::kName, "cuSeqlens", cu_seqlens, batch + 1);
  const int64_t kv_heads = cache.pages->shape[1];
  check_heads(q->shape[2], kv_heads);
  check_setting(setting);
  if (q->numel() > 0 && q->shape[0] * q->shape[1] * q->shape[2] > INT32_MAX) {
    throw_range_error("[attention] q ", q->shape, " has too many queries");
  }
  if (q->shape[3] != cache.shape.key_width) {
    throw_range_error("[attention] q must have head width ", cache.shape.key_width, " but got shape ", q->shape);
  }
  if (setting.offsets) check_int32_vector(Attention::kName, "queryOffset", setting.offsets, batch);
  if (setting.sinks) {
    check_dtype(Attention::kName, "sinks", setting.sinks, DType::kFloat32);
    check_shape(Attention::kName, "sinks", setting.sinks, Shape{q->shape[2]});
    check_dense(Attention::kName, "sinks", setting.sinks);
  }
  ScoreInputs inputs{q, cu_seqlens, cache, setting.scale, setting.causal, setting.softcap};
  inputs.mask = setting.mask.operand(runtime, Attention::kName, q, batch, q->shape[2]);
  inputs.bias = setting.bias.operand(runtime, Attention::kName, q, batch, kv_heads);
  inputs.offsets = setting.offsets;
  inputs.cross = setting.cross;
  if (q->shape[3] > 1 && q->strides[3] != 1) inputs.q = dense(runtime, q);

  const Shape shape{q->shape[0], q->shape[1], q->shape[2], cache.shape.value_width};
  Attention op{inputs, setting.sinks, runtime.make(q, q->dtype, shape)};
  if (wish.lse) op.lse = runtime.make(q, DType::kFloat32, Shape{shape[0], shape[1], shape[2]});
  runtime.submit(op);
  AttentionResult result{op.out, op.lse, {}};
  for (const ScoreWish& one : wish.scores) {
    result.scores.push_back(write_scores(runtime, inputs, setting.sinks, one));
  }
  return result;
}

AttentionResult attention(Runtime& runtime, const Tensor* q, const Tensor* k, const Tensor* v,
                          const AttentionSetting& setting, const AttentionWish& wish) {
  for (const auto& [name, tensor] : {std::pair{"q", q}, std::pair{"k", k}, std::pair{"v", v}}) {
    check_floats_as(Attention::kName, name, tensor, "q", q);
    check_rank(Attention::kName, name, tensor, 4, 4);
  }
  const int64_t batch = q->shape[0], queries = q->shape[2];
  const int64_t kv_heads = k->shape[1], keys = k->shape[2];
  check_heads(q->shape[1], kv_heads);
  check_shape(Attention::kName, "k", k, Shape{batch, kv_heads, keys, q->shape[3]});
  check_shape(Attention::kName, "v", v, Shape{batch, kv_heads, keys, v->shape[3]});
  setting.mask.check_extent(Attention::kName, queries, keys);
  setting.bias.check_extent(Attention::kName, queries, keys);

  // The keys and values become pages of a cache that lives for this call: one kernel, one arithmetic.
  const PageShape page{k->shape[3], v->shape[3]};
  const int64_t pages = std::max<int64_t>(1, (keys + kPageKeys - 1) / kPageKeys);
  if (std::max(batch, int64_t{1}) * std::max({pages, keys, queries, int64_t{1}}) > INT32_MAX) {
    throw_range_error("[attention] q ", q->shape, " and k ", k->shape, " are too long");
  }
  Tensor* const storage = runtime.make(k, k->dtype, Shape{batch * pages, kv_heads, page.elements(k->dtype)});
  std::vector<int32_t> table = multiples(batch * pages, 1);
  table.pop_back();
  const std::vector<int32_t> none(batch, 0), before(batch, static_cast<int32_t>(keys - queries));
  PagedKV cache{storage, int32_tensor(runtime, q, Shape{batch, pages}, table),
                int32_tensor(runtime, q, Shape{batch}, none), page};
  append_kv(runtime, {heads_inside(runtime, k), heads_inside(runtime, v),
                      int32_tensor(runtime, q, Shape{batch + 1}, multiples(batch, keys)), cache});
  cache.lengths = int32_tensor(runtime, q, Shape{batch}, before);
  Tensor* const cu_seqlens = int32_tensor(runtime, q, Shape{batch + 1}, multiples(batch, queries));
  AttentionResult result = attention(runtime, heads_inside(runtime, q), cu_seqlens, cache, setting, wish);
  const Tensor* rows = result.out;
  const Shape strides{rows->strides[0], rows->strides[2], rows->strides[1], rows->strides[3]};
  result.out = runtime.make_view(rows, Shape{batch, q->shape[1], queries, page.value_width}, strides, 0);
  if (result.lse) result.lse = transpose(runtime, result.lse, 1, 2);
  return result;
}

}  // namespace heddle
