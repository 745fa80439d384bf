#include "ops/linear_attention.h"

#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/key_padding.h"

namespace heddle {
namespace {

/// x with its innermost axis dense.
const Tensor* rows_dense(Runtime& runtime, const Tensor* x) {
  return x->shape[-1] > 1 && x->strides[-1] != 1 ? dense(runtime, x) : x;
}

/// [B, H, T] as [B, H, T, 1].
const Tensor* as_column(Runtime& runtime, const Tensor* x) {
  Shape shape = x->shape, strides = x->strides;
  shape.push_back(1);
  strides.push_back(1);
  return runtime.make_view(x, shape, strides, x->offset);
}

}  // namespace

LinearAttentionResult linear_attention(Runtime& runtime, LinearAttention op, bool return_state) {
  const char* const name = op.normalized ? "linear_attention" : "recurrent_attention";
  for (const auto& [argument, tensor] : {std::pair{"q", op.q}, std::pair{"k", op.k}, std::pair{"v", op.v}}) {
    check_floats_as(name, argument, tensor, "q", op.q);
    check_rank(name, argument, tensor, 4, 4);
  }
  const int64_t batch = op.q->shape[0], heads = op.q->shape[1], queries = op.q->shape[2], width = op.q->shape[3];
  const int64_t kv_heads = op.k->shape[1], keys = op.k->shape[2], value_width = op.v->shape[3];
  if (kv_heads == 0 || heads % kv_heads != 0) {
    throw_range_error("[", name, "] the query heads H=", heads, " must be a multiple of the key heads Hkv=", kv_heads);
  }
  if (!op.normalized && queries != keys) {
    throw_range_error("[", name, "] q must have as many tokens as k, ", keys, ", but got shape ", op.q->shape);
  }
  const Shape tokens{batch, kv_heads, keys}, channels{batch, kv_heads, keys, width};
  check_shape(name, "k", op.k, channels);
  check_shape(name, "v", op.v, Shape{batch, kv_heads, keys, value_width});
  op.q = rows_dense(runtime, op.q);
  op.k = rows_dense(runtime, op.k);
  op.v = rows_dense(runtime, op.v);

  if (op.decay) {
    check_floats_as(name, "decay", op.decay, "q", op.q);
    const bool by_head = op.decay->shape.rank() == 3;
    check_shape(name, "decay", op.decay, by_head ? tokens : channels);
    op.decay = by_head ? as_column(runtime, op.decay) : rows_dense(runtime, op.decay);
  }
  if (op.beta) {
    check_floats_as(name, "beta", op.beta, "q", op.q);
    const bool shared = op.beta->shape.rank() == 3 && op.beta->shape[1] == 1;
    check_shape(name, "beta", op.beta, shared ? Shape{batch, 1, keys} : tokens);
    op.beta = as_column(runtime, op.beta);
  }
  if (op.erase) {
    if (!op.beta) throw_type_error("[", name, "] erase has no meaning without beta");
    check_floats_as(name, "erase", op.erase, "q", op.q);
    check_shape(name, "erase", op.erase, channels);
    op.erase = rows_dense(runtime, op.erase);
  }
  if (op.padding) check_key_padding(name, op.padding, batch, keys);
  const Shape state{batch, kv_heads, width, value_width + (op.normalized ? 1 : 0)};
  if (op.past) {
    check_strided(name, "state", op.past);
    check_dtype(name, "state", op.past, DType::kFloat32);
    check_shape(name, "state", op.past, state);
    op.past = dense(runtime, op.past);
  }
  check_eps(name, op.eps);
  if (!std::isfinite(op.scale)) throw_range_error("[", name, "] scale must be a finite number but got ", op.scale);

  op.out = runtime.make(op.q, op.q->dtype, Shape{batch, queries, heads, value_width});
  if (return_state) op.state = runtime.make(op.q, DType::kFloat32, state);
  runtime.submit(op);
  const Shape shape{batch, heads, queries, value_width};
  const Shape strides{op.out->strides[0], op.out->strides[2], op.out->strides[1], op.out->strides[3]};
  return {runtime.make_view(op.out, shape, strides, 0), op.state};
}

}  // namespace heddle
