#include <iterator>

#include "binding/call.h"
#include "ops/op_list.h"
#include "ops/view.h"

namespace heddle {
namespace {

/// An array of handles, 0 for what is null.
Napi::Value publish_all(const Call& c, std::initializer_list<Tensor*> tensors) {
  auto handles = Napi::Array::New(c.env(), tensors.size());
  uint32_t i = 0;
  for (Tensor* const tensor : tensors) {
    handles.Set(i++, tensor ? c.publish(tensor) : Napi::Number::New(c.env(), 0));
  }
  return handles;
}

template <BinaryKind kind>
Napi::Value binary(const Call& c) {
  return c.publish(binary(c.runtime(), c.function(), {c.tensor(0, "a"), c.tensor(1, "b"), kind}));
}

Napi::Value where(const Call& c) {
  return c.publish(where(c.runtime(), Where{c.tensor(0, "condition"), c.tensor(1, "a"), c.tensor(2, "b")}));
}

template <Activation activation>
Napi::Value activate(const Call& c) {
  return c.publish(activate(c.runtime(), c.function(), {c.tensor(0, "x"), activation, 1.0f}));
}

/// (x, activation)
Napi::Value activate_by_name(const Call& c) {
  const Activate op{c.tensor(0, "x"), static_cast<Activation>(c.integer(1)), 1.0f};
  return c.publish(activate(c.runtime(), c.function(), op));
}

/// (x, alpha)
Napi::Value silu(const Call& c) {
  return c.publish(activate(c.runtime(), c.function(), {c.tensor(0, "x"), Activation::kSilu, c.real(1)}));
}

Napi::Value gated(const Call& c) {
  const Gated op{c.tensor(0, "gate"), c.tensor(1, "up"), static_cast<Activation>(c.integer(2))};
  return c.publish(gated(c.runtime(), op));
}

Napi::Value embedding(const Call& c) {
  const Tensor* table = c.tensor(0, "table");
  const DType own = is_quantized(table->dtype) ? DType::kFloat32 : table->dtype;
  const DType dtype = c.text(2).empty() ? own : c.dtype(2);
  return c.publish(embedding(c.runtime(), Embedding{table, c.tensor(1, "ids"), dtype}));
}

Napi::Value gather_rows(const Call& c) {
  return c.publish(gather_rows(c.runtime(), GatherRows{c.tensor(0, "x"), c.tensor(1, "index")}));
}

Napi::Value scatter_rows(const Call& c) {
  return c.publish(scatter_rows(c.runtime(), ScatterRows{c.tensor(0, "x"), c.tensor(1, "index"), c.tensor(2, "rows")}));
}

/// (cache, update, write indices, axis, circular)
Napi::Value tensor_scatter(const Call& c) {
  const TensorScatter op{c.tensor(0, "cache"), c.tensor(1, "update"), c.optional_tensor(2, "writeIndices"), 0,
                         c.flag(4)};
  return c.publish(tensor_scatter(c.runtime(), op, c.integer(3)));
}

/// (handles, axis)
Napi::Value concat_tensors(const Call& c) {
  const auto handles = c.value(0).As<Napi::Array>();
  std::vector<const Tensor*> tensors;
  for (uint32_t i = 0; i < handles.Length(); ++i) {
    tensors.push_back(c.runtime().find(handles.Get(i).As<Napi::Number>().Int64Value()));
    if (!tensors.back()) throw_type_error("[concat] tensors[", i, "] is a disposed tensor");
  }
  return c.publish(concat_tensors(c.runtime(), std::move(tensors), c.integer(1)));
}

Napi::Value matmul(const Call& c) { return c.publish(matmul(c.runtime(), Matmul{c.tensor(0, "a"), c.tensor(1, "b")})); }

/// (x, k, axis, largest, sorted) → [values, indices]
Napi::Value top_k(const Call& c) {
  const auto [values, indices] =
      top_k(c.runtime(), TopK{c.tensor(0, "x"), c.integer(1), c.flag(3), c.flag(4)}, c.integer(2));
  return publish_all(c, {values, indices});
}

Napi::Value cast(const Call& c) { return c.publish(cast(c.runtime(), Cast{c.tensor(0, "x")}, c.dtype(1))); }

/// (x, weight, bias, residual, activation, whether the result is float32)
Napi::Value linear(const Call& c) {
  Linear op{c.tensor(0, "x"), c.tensor(1, "weight"), c.optional_tensor(2, "bias"), c.optional_tensor(3, "residual"),
            static_cast<Activation>(c.integer(4))};
  op.float32_out = c.flag(5);
  return c.publish(linear(c.runtime(), op));
}

Napi::Value pack(const Call& c) { return c.publish(pack(c.runtime(), PackPanels{c.tensor(0, "weight"), c.dtype(1)})); }

/// (x, residual, weight, bias, eps, axis, unbiased, whether stats are wanted) → [out, sum, mean, inverse deviation]
Napi::Value layer_norm(const Call& c) {
  const LayerNorm op{c.tensor(0, "x"),
                     c.optional_tensor(1, "residual"),
                     c.optional_tensor(2, "weight"),
                     c.optional_tensor(3, "bias"),
                     c.real(4),
                     c.flag(6)};
  const auto [out, sum, mean, inverse_deviation] = layer_norm(c.runtime(), op, c.integer(5), c.flag(7));
  return publish_all(c, {out, sum, mean, inverse_deviation});
}

/// (x, residual, weight, eps, offset, axis) → [out, sum]
Napi::Value rms_norm(const Call& c) {
  const RmsNorm op{c.tensor(0, "x"), c.optional_tensor(1, "residual"), c.optional_tensor(2, "weight"), c.real(3),
                   c.real(4)};
  const auto [out, sum] = rms_norm(c.runtime(), op, c.integer(5));
  return publish_all(c, {out, sum});
}

Napi::Value rope(const Call& c) {
  return c.publish(rope(
      c.runtime(), Rope{c.tensor(0, "x"), c.tensor(1, "positions"), c.tensor(2, "frequencies"), c.real(3), c.flag(4)}));
}

/// (x, cos, sin, positions, interleaved)
Napi::Value rotate(const Call& c) {
  return c.publish(rotate(c.runtime(), Rotate{c.tensor(0, "x"), c.tensor(1, "cos"), c.tensor(2, "sin"),
                                              c.optional_tensor(3, "positions"), c.flag(4)}));
}

Napi::Value dynamic_frequencies(const Call& c) {
  return c.publish(dynamic_frequencies(
      c.runtime(), DynamicFrequencies{c.tensor(0, "last"), c.number(1), c.number(2), c.integer(3), c.integer(4)}));
}

/// (seed, step, whether it is normal, its two numbers, dtype, shape)
Napi::Value random(const Call& c) {
  const Distribution distribution = c.flag(2) ? Distribution::kNormal : Distribution::kUniform;
  const Random op{c.tensor(0, "seed"), c.tensor(1, "step"), distribution, c.real(3), c.real(4)};
  return c.publish(random(c.runtime(), op, c.dtype(5), c.shape(6)));
}

Napi::Value dropout(const Call& c) {
  const Dropout op{c.tensor(0, "x"), c.tensor(1, "seed"), c.tensor(2, "step"), c.number(3)};
  return c.publish(dropout(c.runtime(), op));
}

Napi::Value orthogonalize(const Call& c) {
  return c.publish(orthogonalize(c.runtime(), Orthogonalize{c.tensor(0, "x"), c.flag(1), c.real(2)}));
}

/// (x, projection, padding, whether it is the softmax kernel, whether these are queries, eps)
Napi::Value favor_features(const Call& c) {
  FavorFeatures op{c.tensor(0, "x")};
  op.padding = c.optional_tensor(2, "padding");
  op.softmax = c.flag(3);
  op.queries = c.flag(4);
  op.eps = c.real(5);
  return c.publish(favor_features(c.runtime(), op, c.tensor(1, "projection")));
}

/// (x, axis)
template <bool log>
Napi::Value softmax(const Call& c) {
  return c.publish(softmax(c.runtime(), {c.tensor(0, "x"), log}, c.integer(1)));
}

/// (x, axis or undefined, whether the axis stays)
template <ReduceKind kind>
Napi::Value reduce(const Call& c) {
  const auto axis = c.value(1).IsUndefined() ? std::nullopt : std::make_optional(c.integer(1));
  return c.publish(reduce(c.runtime(), c.function(), {c.tensor(0, "x"), kind}, axis, c.flag(2)));
}

/// (logits, labels, ignored label, smoothing, whether the mean is wanted)
Napi::Value cross_entropy(const Call& c) {
  const CrossEntropy op{c.tensor(0, "logits"), c.tensor(1, "labels"), static_cast<int32_t>(c.integer(2)), c.real(3)};
  return c.publish(cross_entropy(c.runtime(), op, c.flag(4)));
}

Napi::Value argmax(const Call& c) { return c.publish(argmax(c.runtime(), Argmax{c.tensor(0, "x")})); }

/// (logits, keys, steps, mu, target surprise, learning rate, whether log-probabilities are wanted)
Napi::Value sample(const Call& c) {
  Sample op{c.tensor(0, "logits"), c.tensor(1, "keys"), c.tensor(2, "steps")};
  op.mu = c.optional_tensor(3, "mu");
  op.target_surprise = c.real(4);
  op.learning_rate = c.real(5);
  const Sample done = sample(c.runtime(), op, c.flag(6));
  return publish_all(c, {done.out, done.log_probs});
}

/// (logits, code (Int32Array), rows, history, lengths, prompt lengths, greatest lengths, source, its lengths, tokens of
/// the groups before, keys, steps, mu)
Napi::Value process_logits(const Call& c) {
  ProcessLogits op{c.tensor(0, "logits")};
  op.rows = c.optional_tensor(2, "rows");
  op.history = c.optional_tensor(3, "history");
  op.lengths = c.optional_tensor(4, "lengths");
  op.prompt_lengths = c.optional_tensor(5, "promptLengths");
  op.max_lengths = c.optional_tensor(6, "maxLengths");
  op.source = c.optional_tensor(7, "source");
  op.source_lengths = c.optional_tensor(8, "sourceLengths");
  op.group_tokens = c.optional_tensor(9, "groupTokens");
  op.keys = c.optional_tensor(10, "keys");
  op.steps = c.optional_tensor(11, "steps");
  op.mu = c.optional_tensor(12, "mu");
  const auto code = c.value(1).As<Napi::Int32Array>();
  return c.publish(process_logits(c.runtime(), op, code.Data(), static_cast<int64_t>(code.ElementLength())));
}

/// (logits, tokens, number of alternatives)
Napi::Value token_report(const Call& c) {
  return c.publish(token_report(c.runtime(), TokenReport{c.tensor(0, "logits"), c.tensor(1, "tokens"), c.integer(2)}));
}

Napi::Value end_of_sequence(const Call& c) {
  end_of_sequence(c.runtime(),
                  EndOfSequence{c.tensor(0, "chosen"), c.tensor(1, "ends"), static_cast<int32_t>(c.integer(2)),
                                c.tensor(3, "tokens"), c.tensor(4, "finished")});
  return c.undefined();
}

/// Four arguments from `first` on: pages, block table, lengths, width of the values.
PagedKV cache_of(const Call& c, size_t first, int64_t key_width) {
  return {c.tensor(first, "cache"), c.tensor(first + 1, "cache"), c.tensor(first + 2, "cache"),
          PageShape{key_width, c.integer(first + 3)}};
}

/// x [N, H, D] as [1, N, H, D]: ragged tokens are one row of the batch.
const Tensor* as_row(const Call& c, const Tensor* x, const char* argument) {
  if (x->layout != Layout::kStrided || x->shape.rank() != 3) {
    throw_range_error("[", c.function(), "] ", argument, " must have shape [N, H, D] with a cache but got ", x->shape);
  }
  const Shape shape{1, x->shape[0], x->shape[1], x->shape[2]};
  const Shape strides{0, x->strides[0], x->strides[1], x->strides[2]};
  return c.runtime().make_view(x, shape, strides, x->offset);
}

Napi::Value append_kv(const Call& c) {
  const Tensor* k = as_row(c, c.tensor(0, "k"), "k");
  append_kv(c.runtime(),
            AppendKV{k, as_row(c, c.tensor(1, "v"), "v"), c.tensor(2, "cuSeqlens"), cache_of(c, 3, k->shape[3])});
  return c.undefined();
}

Napi::Value advance_lengths(const Call& c) {
  advance_lengths(c.runtime(), AdvanceLengths{c.tensor(0, "cuSeqlens"), c.tensor(1, "lengths")});
  return c.undefined();
}

/// (sources, group, block table, lengths)
Napi::Value reorder_cache(const Call& c) {
  return c.publish(reorder_cache(
      c.runtime(), ReorderCache{c.tensor(0, "sources"), c.integer(1), c.tensor(2, "cache"), c.tensor(3, "cache")}));
}

Napi::Value copy_pages(const Call& c) {
  copy_pages(c.runtime(), CopyPages{c.tensor(0, "copies"), c.tensor(1, "cache")});
  return c.undefined();
}

/// (sources, group, x)
Napi::Value reorder_rows(const Call& c) {
  reorder_rows(c.runtime(), ReorderRows{c.tensor(0, "sources"), c.integer(1), c.tensor(2, "x")});
  return c.undefined();
}

Napi::Value append_tokens(const Call& c) {
  append_tokens(c.runtime(), AppendTokens{c.tensor(0, "tokens"), c.tensor(1, "history"), c.tensor(2, "lengths")});
  return c.undefined();
}

/// (scores, candidates, ends, sums, hypotheses, counts, done, steps, tokens, sources, rows per problem, first row, pad,
/// early stopping, length penalty, max steps)
Napi::Value beam_step(const Call& c) {
  beam_step(c.runtime(), {c.tensor(0, "scores"), c.tensor(1, "candidates"), c.tensor(2, "ends"), c.tensor(3, "sums"),
                          c.tensor(4, "hypotheses"), c.tensor(5, "counts"), c.tensor(6, "done"), c.tensor(7, "steps"),
                          c.tensor(8, "tokens"), c.tensor(9, "sources"), c.integer(10), c.integer(11),
                          static_cast<int32_t>(c.integer(12)), static_cast<EarlyStopping>(c.integer(13)), c.number(14),
                          c.integer(15)});
  return c.undefined();
}

Napi::Value gumbel_noise(const Call& c) {
  return c.publish(gumbel_noise(c.runtime(), GumbelNoise{c.tensor(0, "x"), c.tensor(1, "keys"), c.tensor(2, "steps")}));
}

/// Five arguments from `first` on: code (Int32Array; undefined: no mask) and what its pieces name.
MaskExpression mask_of(const Call& c, size_t first) {
  MaskExpression mask;
  if (c.value(first).IsUndefined()) return mask;
  const auto code = c.value(first).As<Napi::Int32Array>();
  mask.code = code.Data();
  mask.nodes = static_cast<int64_t>(code.ElementLength() / 4);
  for (size_t i = 0; i < MaskOperand::kMaxData; ++i) mask.data[i] = c.optional_tensor(first + 1 + i, "mask");
  return mask;
}

/// (mask: 5, offsets, [B, H, Tq, Tk])
Napi::Value mask_to_array(const Call& c) {
  return c.publish(mask_to_array(c.runtime(), mask_of(c, 0), c.tensor(5, "offsets"), c.shape(6)));
}

Napi::Value count_mask_tiles(const Call& c) {
  return c.publish(count_mask_tiles(c.runtime(), mask_of(c, 0), c.tensor(5, "offsets"), c.shape(6)));
}

/// Seven arguments from `first` on: code (Int32Array; undefined: none), what its terms name, positions of queries and
/// keys.
BiasExpression bias_of(const Call& c, size_t first) {
  BiasExpression bias;
  if (c.value(first).IsUndefined()) return bias;
  const auto code = c.value(first).As<Napi::Int32Array>();
  bias.code = code.Data();
  bias.terms = static_cast<int64_t>(code.ElementLength() / 4);
  for (size_t i = 0; i < BiasOperand::kMaxData; ++i) bias.data[i] = c.optional_tensor(first + 1 + i, "bias");
  bias.query_positions = c.optional_tensor(first + 5, "queryPositions");
  bias.key_positions = c.optional_tensor(first + 6, "keyPositions");
  return bias;
}

/// What attention takes beside queries, keys and values, from `first` on: scale, soft cap, causal, sinks, offsets,
/// mask: 5, bias: 7.
AttentionSetting setting_of(const Call& c, size_t first) {
  return {c.real(first),
          c.flag(first + 2),
          c.real(first + 1),
          mask_of(c, first + 5),
          bias_of(c, first + 10),
          c.optional_tensor(first + 3, "sinks"),
          c.optional_tensor(first + 4, "queryOffset")};
}
constexpr size_t kNumSettings = 17;

/// Some numbers, or undefined: all.
IndexList index_list(const Napi::Value& value) {
  if (value.IsUndefined()) return {};
  const auto list = value.As<Napi::Int32Array>();
  return {list.Data(), static_cast<int64_t>(list.ElementLength())};
}

/// Behind the settings: whether lse is wanted, and a list of scores, each [stage, rows, heads, lowest distance, number
/// of distances].
AttentionWish wish_of(const Call& c, size_t first) {
  AttentionWish wish{c.flag(first), {}};
  const auto list = c.value(first + 1).As<Napi::Array>();
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const auto one = list.Get(i).As<Napi::Array>();
    const auto number = [&](uint32_t at) { return one.Get(at).As<Napi::Number>().Int32Value(); };
    wish.scores.push_back(
        {static_cast<ScoreStage>(number(0)), index_list(one.Get(1u)), index_list(one.Get(2u)), number(3), number(4)});
  }
  return wish;
}

/// [out, lse, scores …], lse 0 where it was not asked for.
Napi::Value publish(const Call& c, const AttentionResult& result) {
  auto all = Napi::Array::New(c.env(), 2 + result.scores.size());
  all.Set(0u, c.publish(result.out));
  all.Set(1u, result.lse ? c.publish(result.lse) : Napi::Number::New(c.env(), 0));
  for (uint32_t i = 0; i < result.scores.size(); ++i) all.Set(2 + i, c.publish(result.scores[i]));
  return all;
}

/// (q, k, v, settings)
Napi::Value attention(const Call& c) {
  return publish(c, attention(c.runtime(), c.tensor(0, "q"), c.tensor(1, "k"), c.tensor(2, "v"), setting_of(c, 3),
                              wish_of(c, 3 + kNumSettings)));
}

/// (q, cuSeqlens, cache: 4, cross, settings)
Napi::Value cached_attention(const Call& c) {
  const Tensor* q = as_row(c, c.tensor(0, "q"), "q");
  AttentionSetting setting = setting_of(c, 7);
  setting.cross = c.flag(6);
  AttentionResult result = attention(c.runtime(), q, c.tensor(1, "cuSeqlens"), cache_of(c, 2, q->shape[3]), setting,
                                     wish_of(c, 7 + kNumSettings));
  const int64_t tokens = q->shape[1], heads = q->shape[2];
  result.out = reshape(c.runtime(), result.out, Shape{tokens, heads, result.out->shape[3]});
  if (result.lse) result.lse = reshape(c.runtime(), result.lse, Shape{tokens, heads});
  return publish(c, result);
}

/// (q, k, v, padding, state, features, causal, eps, whether the state is wanted) → [out, state]
Napi::Value linear_attention(const Call& c) {
  LinearAttention op{c.tensor(0, "q"), c.tensor(1, "k"), c.tensor(2, "v")};
  op.padding = c.optional_tensor(3, "padding");
  op.past = c.optional_tensor(4, "state");
  op.features = static_cast<FeatureMap>(c.integer(5));
  op.causal = c.flag(6);
  op.normalized = true;
  op.eps = c.real(7);
  const auto [out, state] = linear_attention(c.runtime(), op, c.flag(8));
  return publish_all(c, {out, state});
}

/// (q, k, v, decay, beta, erase, padding, state, scale, whether the state is wanted) → [out, state]
Napi::Value recurrent_attention(const Call& c) {
  LinearAttention op{c.tensor(0, "q"), c.tensor(1, "k"), c.tensor(2, "v")};
  op.decay = c.optional_tensor(3, "decay");
  op.beta = c.optional_tensor(4, "beta");
  op.erase = c.optional_tensor(5, "erase");
  op.padding = c.optional_tensor(6, "padding");
  op.past = c.optional_tensor(7, "state");
  op.scale = c.real(8);
  const auto [out, state] = linear_attention(c.runtime(), op, c.flag(9));
  return publish_all(c, {out, state});
}

/// (width of keys, of values, dtype): elements of a page of one head.
Napi::Value page_elements(const Call& c) {
  const int64_t elements = PageShape{c.integer(0), c.integer(1)}.elements(c.dtype(2));
  return Napi::Number::New(c.env(), static_cast<double>(elements));
}

constexpr Export kOps[] = {
    {"add", "add", binary<BinaryKind::kAdd>},
    {"sub", "sub", binary<BinaryKind::kSub>},
    {"mul", "mul", binary<BinaryKind::kMul>},
    {"div", "div", binary<BinaryKind::kDiv>},
    {"maximum", "maximum", binary<BinaryKind::kMaximum>},
    {"minimum", "minimum", binary<BinaryKind::kMinimum>},
    {"where", "where", where},
    {"activation", "activation", activate_by_name},
    {"gelu", "gelu", activate<Activation::kGelu>},
    {"geluTanh", "gelu", activate<Activation::kGeluTanh>},
    {"silu", "silu", silu},
    {"relu", "relu", activate<Activation::kRelu>},
    {"tanh", "tanh", activate<Activation::kTanh>},
    {"sigmoid", "sigmoid", activate<Activation::kSigmoid>},
    {"exp", "exp", activate<Activation::kExp>},
    {"log", "log", activate<Activation::kLog>},
    {"sqrt", "sqrt", activate<Activation::kSqrt>},
    {"neg", "neg", activate<Activation::kNegative>},
    {"abs", "abs", activate<Activation::kAbs>},
    {"gated", "gated", gated},
    {"embedding", "embedding", embedding},
    {"cast", "cast", cast},
    {"gatherRows", "gather_rows", gather_rows},
    {"scatterRows", "scatter_rows", scatter_rows},
    {"tensorScatter", "tensor_scatter", tensor_scatter},
    {"concat", "concat", concat_tensors},
    {"matmul", "matmul", matmul},
    {"topK", "top_k", top_k},
    {"linear", "linear", linear},
    {"pack", "pack_weight", pack},
    {"rmsNorm", "rms_norm", rms_norm},
    {"rope", "rope", rope},
    {"rotate", "rotate", rotate},
    {"dynamicFrequencies", "dynamic_frequencies", dynamic_frequencies},
    {"layerNorm", "layer_norm", layer_norm},
    {"softmax", "softmax", softmax<false>},
    {"logSoftmax", "log_softmax", softmax<true>},
    {"sum", "sum", reduce<ReduceKind::kSum>},
    {"mean", "mean", reduce<ReduceKind::kMean>},
    {"logSumExp", "log_sum_exp", reduce<ReduceKind::kLogSumExp>},
    {"crossEntropy", "cross_entropy", cross_entropy},
    {"argmax", "argmax", argmax},
    {"sample", "sample", sample},
    {"processLogits", "process_logits", process_logits},
    {"tokenReport", "token_report", token_report},
    {"endOfSequence", "end_of_sequence", end_of_sequence},
    {"appendKV", "append_kv", append_kv},
    {"appendTokens", "append_tokens", append_tokens},
    {"beamStep", "beam_step", beam_step},
    {"copyPages", "copy_pages", copy_pages},
    {"gumbelNoise", "gumbel_noise", gumbel_noise},
    {"reorderCache", "reorder_cache", reorder_cache},
    {"reorderRows", "reorder_rows", reorder_rows},
    {"advanceLengths", "advance_lengths", advance_lengths},
    {"attention", "attention", attention},
    {"maskToArray", "mask", mask_to_array},
    {"countMaskTiles", "mask", count_mask_tiles},
    {"cachedAttention", "attention", cached_attention},
    {"linearAttention", "linear_attention", linear_attention},
    {"recurrentAttention", "recurrent_attention", recurrent_attention},
    {"random", "random", random},
    {"dropout", "dropout", dropout},
    {"orthogonalize", "orthogonalize", orthogonalize},
    {"favorFeatures", "favor_features", favor_features},
    {"pageElements", "page_elements", page_elements},
};

}  // namespace

void export_ops(Napi::Env env, Napi::Object exports) { export_functions(env, exports, kOps, std::size(kOps)); }

}  // namespace heddle
