#include <cstring>
#include <iterator>
#include <numeric>

#include "ops/op_list.h"
#include "ops/view.h"
#include "stress/life.h"

namespace heddle::stress {
namespace {

using Results = std::vector<const Tensor*>;

// ---- element by element, and what moves elements

Results elements(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t rows = 1 + life.pick(50), width = 1 + life.pick(300);
  Tensor* const a = life.floats(Shape{rows, width}, dtype);
  Tensor* const row = life.floats(Shape{width}, dtype);
  Tensor* const turned = transpose(life.runtime, life.floats(Shape{width, rows}, dtype), 0, 1);
  const auto kind = static_cast<BinaryKind>(life.pick(6));
  const auto activation = static_cast<Activation>(life.pick(kNumActivations));
  Tensor* const sum = binary(life.runtime, "stress", {binary(life.runtime, "stress", {a, turned, kind}), row, kind});
  return {sum, where(life.runtime, {life.bools(Shape{rows, 1}), sum, turned}),
          activate(life.runtime, "stress", {a, activation, 1.0f}), gated(life.runtime, {a, turned, Activation::kSilu}),
          cast(life.runtime, {turned}, life.float_dtype())};
}

Results moves(Life& life) {
  const DType dtype = life.float_dtype();
  const int rows = 1 + life.pick(40), width = 1 + life.pick(200), count = 1 + life.pick(rows);
  Tensor* const x = life.floats(Shape{rows, width}, dtype);
  Tensor* const ids = life.ints(Shape{count}, rows);
  std::vector<const Tensor*> parts(static_cast<size_t>(1 + life.pick(20)), x);
  Tensor* const joined = concat_tensors(life.runtime, parts, life.pick(2));
  std::vector<int32_t> places;  // each row once
  for (int i = 0; i < count; ++i) places.push_back(life.chance() ? i : -1);
  Tensor* const picked = gather_rows(life.runtime, {x, ids});
  Tensor* const cache = life.floats(Shape{2, 3, rows, width}, dtype);
  Tensor* const update = life.floats(Shape{2, 3, count, width}, dtype);
  return {joined,
          picked,
          embedding(life.runtime, {x, ids, dtype}),
          scatter_rows(life.runtime, {x, life.ints(places), picked}),
          tensor_scatter(life.runtime, {cache, update, life.ints(Shape{2}, rows), 2, true}, 2),
          slice(life.runtime, transpose(life.runtime, joined, 0, 1), 0, 0, 1)};
}

// ---- rows

Results rows(Life& life) {
  const DType dtype = life.float_dtype();
  const int count = 1 + life.pick(60), width = 1 + life.pick(700), axis = life.pick(2);
  Tensor* const x = life.floats(Shape{count, width}, dtype);
  const auto kind = static_cast<ReduceKind>(life.pick(3));
  const TopKResult best = top_k(life.runtime, {x, 1 + life.pick(axis == 0 ? count : width), life.chance(), true}, axis);
  CrossEntropy loss{x, life.ints(Shape{count}, width), 0, 0.1f};
  Tensor* const whole = reduce(life.runtime, "stress", {x, kind}, std::nullopt, false);
  return {softmax(life.runtime, {x, life.chance()}, axis),
          argmax(life.runtime, {x}),
          best.values,
          best.indices,
          cross_entropy(life.runtime, loss, life.chance()),
          reduce(life.runtime, "stress", {x, kind}, axis, life.chance()),
          whole};
}

Results norms(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t width = 1 + life.pick(300);
  const Shape shape{1 + life.pick(60), width};
  Tensor *const x = life.floats(shape, dtype), *const residual = life.floats(shape, dtype);
  Tensor *const weight = life.floats(Shape{width}, dtype), *const bias = life.floats(Shape{width}, dtype);
  const auto layer = layer_norm(life.runtime, {x, residual, weight, bias, 1e-5f, life.chance()}, -1, true);
  const auto rms = rms_norm(life.runtime, {x, residual, weight, 1e-5f, 0.0f}, -1);
  return {layer.out, layer.sum, layer.mean, layer.inverse_deviation, rms.out, rms.sum};
}

// ---- products

Results products(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t count = 1 + life.pick(70), inner = 1 + life.pick(130), outer = 1 + life.pick(200);
  Tensor* const x = life.floats(Shape{count, inner}, dtype);
  const Tensor* const weight = life.floats(Shape{outer, inner}, dtype);
  Linear op{x, life.chance() ? pack(life.runtime, {weight, dtype}) : weight, life.floats(Shape{outer}, dtype), nullptr,
            Activation::kGelu};
  op.float32_out = life.chance();
  Tensor* const many = life.floats(Shape{3, count, inner}, dtype);
  return {linear(life.runtime, op), matmul(life.runtime, {many, transpose(life.runtime, weight, 0, 1)})};
}

/// Weights of integers, for few rows and for many, and their rows as floats.
Results quantized_products(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t count = 1 + life.pick(110), inner = life.pick(330), outer = 1 + life.pick(200);
  Tensor* const x = life.floats(Shape{count, inner}, dtype);
  Tensor* const weight = life.floats(Shape{outer, inner}, life.float_dtype());
  Tensor* const packed = pack(life.runtime, {weight, life.chance() ? DType::kInt8 : DType::kInt4});
  Linear op{x, packed, life.floats(Shape{outer}, dtype), nullptr, Activation::kGelu};
  op.float32_out = life.chance();
  Tensor* const ids = life.ints(Shape{1 + life.pick(20)}, static_cast<int>(outer));
  return {linear(life.runtime, op), embedding(life.runtime, {packed, ids, life.float_dtype()})};
}

// ---- attention

/// Queries, keys and values of one call, with a mask, a bias, sinks and all that may be asked for.
Results attends(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t batch = 1 + life.pick(3), keys = 1 + life.pick(150), queries = 1 + life.pick(static_cast<int>(keys));
  Tensor* const q = life.heads(Shape{batch, 4, queries, 16}, dtype);
  Tensor* const k = life.heads(Shape{batch, 2, keys, 16}, dtype);
  Tensor* const v = life.heads(Shape{batch, 2, keys, 24}, dtype);
  const auto number = [](MaskKind kind) { return static_cast<int32_t>(kind); };
  // (window or global) and padding
  const int32_t mask[] = {number(MaskKind::kWindow), 20, 5, 0, number(MaskKind::kGlobal), 0, 0, 0,
                          number(MaskKind::kOr),     0,  1, 0, number(MaskKind::kPrefix), 1, 0, 0,
                          number(MaskKind::kAnd),    2,  3, 0};
  const int32_t bias[] = {static_cast<int32_t>(BiasKind::kAlibi),      0, 0,  0,  //
                          static_cast<int32_t>(BiasKind::kByDistance), 1, 16, 0,  //
                          static_cast<int32_t>(BiasKind::kDense),      2, 0,  kScaledBias};
  AttentionSetting setting{};
  setting.scale = 0.25f;
  setting.causal = life.chance();
  setting.softcap = life.chance() ? 5.0f : 0.0f;
  if (life.chance()) {
    setting.mask = {
        mask, 5, {life.ints(Shape{2}, static_cast<int>(keys)), life.ints(Shape{batch}, static_cast<int>(keys))}};
  }
  if (life.chance()) {
    setting.bias = {
        bias, 3, {life.floats(Shape{4}), life.floats(Shape{1, 33}), life.floats(Shape{batch, 1, queries, keys})}};
  }
  if (life.chance()) setting.sinks = life.floats(Shape{4});
  AttentionWish wish;
  wish.lse = true;
  wish.scores.push_back({static_cast<ScoreStage>(life.pick(4)), {}, {}});
  const AttentionResult result = attention(life.runtime, q, k, v, setting, wish);
  return {result.out, result.lse, result.scores[0]};
}

/// A prompt in two parts and a cache, as a decoder has it; its tokens turned by their positions.
Results decodes(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t width = 16;
  const PageShape page{width, width};
  const int32_t first = 1 + life.pick(90), second = 1 + life.pick(30);
  Tensor* const table = life.ints({3, 1, 0, 2});  // two sequences of two pages
  Tensor* const lengths = life.ints({0, 0});
  PagedKV cache{life.floats(Shape{4, 2, page.elements(dtype)}, dtype), reshape(life.runtime, table, Shape{2, 2}),
                lengths, page};
  Tensor* const frequencies = dynamic_frequencies(life.runtime, {life.ints({first, second}), 10'000.0, 2.0, 64, width});
  Results results;
  for (const int32_t tokens : {first, second}) {
    Tensor* const cu_seqlens = life.ints({0, tokens, 2 * tokens});
    Tensor* const positions = life.ints(Shape{2 * tokens}, 128);
    const auto turned = [&](int64_t heads) {
      Rope op{
          reshape(life.runtime, life.floats(Shape{2 * tokens, heads, width}, dtype), Shape{2 * tokens, heads, width}),
          positions, frequencies, 1.0f, life.chance()};
      return reshape(life.runtime, rope(life.runtime, op), Shape{1, 2 * tokens, heads, width});
    };
    Tensor *const q = turned(4), *const k = turned(2);
    append_kv(life.runtime, {k, life.floats(Shape{1, 2 * tokens, 2, width}, dtype), cu_seqlens, cache});
    AttentionSetting setting{};
    setting.scale = 0.25f;
    setting.causal = true;
    results.push_back(attention(life.runtime, q, cu_seqlens, cache, setting, {}).out);
    advance_lengths(life.runtime, {cu_seqlens, lengths});
  }
  results.push_back(lengths);
  return results;
}

Results masks(Life& life) {
  const int32_t code[] = {
      static_cast<int32_t>(MaskKind::kCausal), 0, 0, 0, static_cast<int32_t>(MaskKind::kStride), 3, 0, 0,
      static_cast<int32_t>(MaskKind::kNot),    1, 0, 0, static_cast<int32_t>(MaskKind::kAnd),    0, 2, 0};
  const MaskExpression mask{code, 4, {}};
  const Shape shape{2, 1, 1 + life.pick(200), 1 + life.pick(200)};
  Tensor* const offsets = life.ints(Shape{2}, 10);
  return {mask_to_array(life.runtime, mask, offsets, shape), count_mask_tiles(life.runtime, mask, offsets, shape)};
}

/// With random features, and as a recurrence that continues.
Results linear_attends(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t batch = 1 + life.pick(2), tokens = 1 + life.pick(60), width = 1 + life.pick(24), features = 8;
  const Shape shape{batch, 2, tokens, width};
  Tensor *const q = life.heads(shape, dtype), *const k = life.heads(shape, dtype), *const v = life.heads(shape, dtype);
  Tensor* const padding = life.ints(Shape{batch}, static_cast<int>(tokens) + 1);
  Tensor* const rows = orthogonalize(life.runtime, {life.floats(Shape{1, features, 24}), life.chance(), 1.0f});
  Tensor* const projection = slice(life.runtime, reshape(life.runtime, rows, Shape{features, 24}), 1, 0, width);
  const auto mapped = [&](const Tensor* x, bool queries) {
    return favor_features(life.runtime, {x, nullptr, queries ? nullptr : padding, true, queries, 1e-6f}, projection);
  };
  LinearAttention softmax{mapped(q, true), mapped(k, false), v};
  softmax.padding = padding;
  softmax.causal = life.chance();
  softmax.normalized = true;
  LinearAttention recurrence{q, k, v};
  recurrence.decay = life.floats(shape, dtype);
  recurrence.beta = life.floats(Shape{batch, 2, tokens}, dtype);
  const auto first = linear_attention(life.runtime, recurrence, true);
  recurrence.past = first.state;
  const auto second = linear_attention(life.runtime, recurrence, true);
  return {linear_attention(life.runtime, softmax, false).out, first.out, second.out, second.state};
}

// ---- random numbers, and turning

Results draws(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t batch = 1 + life.pick(4), width = 1 + life.pick(400);
  Tensor *const seed = life.ints(Shape{2}, 1 << 20), *const step = life.ints(Shape{1}, 100);
  Tensor* const normal =
      random(life.runtime, {seed, step, Distribution::kNormal, 0.0f, 1.0f}, dtype, Shape{batch, width});
  return {normal, dropout(life.runtime, {normal, seed, step, 0.3}),
          random(life.runtime, {seed, step, Distribution::kUniform, -1.0f, 1.0f}, dtype, Shape{width})};
}

Results turns(Life& life) {
  const DType dtype = life.float_dtype();
  const int64_t tokens = 1 + life.pick(40);
  Tensor* const x = life.heads(Shape{2, 3, tokens, 16}, dtype);
  const Shape table{50, 8};
  return {rotate(life.runtime,
                 {x, life.floats(table), life.floats(table), life.ints(Shape{2, tokens}, 50), life.chance()})};
}

// ---- decoding

int32_t bits_of(float value) {
  int32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

/// Tokens drawn from scores that went through processors, and what is told of them.
Results chooses(Life& life) {
  const int rows = 1 + life.pick(4), vocabulary = 8 + life.pick(400), length = 12;
  Tensor *const logits = life.floats(Shape{rows, vocabulary}), *const keys = life.ints(Shape{rows, 3}, 1000);
  Tensor* const steps = life.ints(Shape{rows}, 50);
  const auto number = [](ProcessorKind kind) { return static_cast<int32_t>(kind); };
  const int32_t code[] = {number(ProcessorKind::kRepetitionPenalty),
                          2,
                          bits_of(1.3f),
                          0,
                          number(ProcessorKind::kNoRepeatNgram),
                          1,
                          2,
                          number(ProcessorKind::kTemperature),
                          1,
                          bits_of(0.8f),
                          number(ProcessorKind::kTypical),
                          2,
                          bits_of(0.9f),
                          1,
                          number(ProcessorKind::kTopK),
                          1,
                          40,
                          number(ProcessorKind::kTopP),
                          2,
                          bits_of(0.1f),
                          1,
                          number(ProcessorKind::kXtc),
                          2,
                          bits_of(0.5f),
                          bits_of(0.1f)};
  ProcessLogits op{logits};
  op.history = life.ints(Shape{rows, length}, vocabulary);
  op.lengths = life.ints(Shape{rows}, length + 1);
  op.keys = keys;
  op.steps = steps;
  Tensor* const scores = process_logits(life.runtime, op, code, static_cast<int64_t>(std::size(code)));
  const Sample drawn = sample(life.runtime, {scores, keys, steps}, true);
  return {scores, drawn.out, drawn.log_probs, token_report(life.runtime, {logits, drawn.out, 3}),
          gumbel_noise(life.runtime, {logits, keys, life.ints({3})})};
}

/// A step of beam search, and the cache and the history that go on from it.
Results searches(Life& life) {
  const int problems = 1 + life.pick(3), beams = 1 + life.pick(4), rows = problems * beams;
  const int vocabulary = 20 + life.pick(100), pages = 2, held = 1 + life.pick(2 * 64);
  Tensor* const scores = life.floats(Shape{problems, beams * vocabulary});
  Tensor* const sums = life.floats(Shape{problems, beams});
  Tensor* const hypotheses = life.ints(Shape{problems, beams, 4}, 1);
  Tensor *const counts = life.ints(Shape{problems}, 1), *const done = life.ints(Shape{problems}, 1);
  Tensor *const steps = life.ints({0}), *const tokens = life.ints(Shape{rows}, 1);
  Tensor* const sources = life.ints(Shape{rows}, 1);
  const TopKResult best = top_k(life.runtime, {scores, 2 * beams, true, false}, -1);
  beam_step(life.runtime, {scores, best.indices, life.ints({1}), sums, hypotheses, counts, done, steps, tokens, sources,
                           beams, 0, 0, EarlyStopping::kNo, 1.0, 20});
  std::vector<int32_t> own(static_cast<size_t>(rows * pages));  // pages, none twice
  std::iota(own.begin(), own.end(), 0);
  Tensor* const table = reshape(life.runtime, life.ints(own), Shape{rows, pages});
  Tensor* const lengths = life.ints(std::vector<int32_t>(static_cast<size_t>(rows), held));
  Tensor* const copies = reorder_cache(life.runtime, {sources, beams, table, lengths});
  Tensor* const cache =
      life.floats(Shape{rows * pages, 2, PageShape{8, 8}.elements(DType::kFloat32)}, life.float_dtype());
  copy_pages(life.runtime, {copies, cache});
  Tensor *const history = life.ints(Shape{rows, 12}, vocabulary), *const said = life.ints(Shape{rows}, 12);
  reorder_rows(life.runtime, {sources, beams, history});
  append_tokens(life.runtime, {tokens, history, said});
  Tensor* const finished = life.ints(Shape{rows}, 2);
  end_of_sequence(life.runtime, {tokens, life.ints({1, 2}), 0, tokens, finished});
  return {sums, hypotheses, counts, done, steps, tokens, sources, table, copies, cache, history, said, finished};
}

}  // namespace

const std::vector<Computation> kComputations = {
    {"elements", elements}, {"moves", moves},
    {"rows", rows},         {"norms", norms},
    {"products", products}, {"quantized products", quantized_products},
    {"attends", attends},   {"decodes", decodes},
    {"masks", masks},       {"linear attention", linear_attends},
    {"draws", draws},       {"turns", turns},
    {"chooses", chooses},   {"searches", searches},
};

}  // namespace heddle::stress
