#include "cuda/attention_problem.h"
#include "cuda/kernels.h"
#include "cuda/reduce.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// What is written of a problem's scores: see AttentionScores.
struct Wanted {
  ScoreStage stage;
  const int32_t* rows;   // or null: all
  const int32_t* heads;  // likewise
  int64_t num_heads;
  int64_t width;  // of a row of out
  int64_t low;
  bool by_distance;
  float* out;
};

/// body(C{}) with what pages have, which goes with a T: see check_goes_with.
template <typename T, typename Body>
HEDDLE_DEVICE float with_page_type(const Pages& pages, const Body& body) {
  if (pages.dtype == DType::kInt8) return body(int8_t{});
  if constexpr (std::is_same_v<T, float>) {
    if (pages.dtype == DType::kFloat16) return body(Float16{});
    if (pages.dtype == DType::kBFloat16) return body(BFloat16{});
  }
  return body(T{});
}

/// q · k of a row's key.
template <typename T>
HEDDLE_DEVICE_CALL float product_of(const Problem<T>& p, const RowTile& tile, char* page, int64_t key) {
  return with_page_type<T>(p.pages, [&](auto type) {
    using C = decltype(type);
    const T* const q = query_at(p, tile, 0);
    const auto* const keys = reinterpret_cast<const C*>(page);
    float sum = 0.0f;
    for (int64_t d = 0; d < p.pages.key_width; ++d) {
      sum = fmaf(widen(q[d]), widen(keys[key_place<C>(key % kKeys, d)]), sum);
    }
    return std::is_same_v<C, int8_t> ? sum * scales_of(p.pages, page)[key % kKeys] : sum;
  });
}

/// The score of a row's key: -∞ where the query may not attend to it.
template <typename T>
HEDDLE_DEVICE float masked_score(const Problem<T>& p, const RowTile& tile, ScoreStage stage, int64_t key) {
  const bool every = stage == ScoreStage::kProduct || stage == ScoreStage::kCapped;
  if (!every) {
    if (key >= limit_of(p, tile, 0)) return -kInfinity;
    if (p.mask.code && !keeps(p.mask, mask_rows(p, tile, 0), position_of(p, tile, 0), key)) return -kInfinity;
  }
  char* const page = page_of<char>(p.pages, tile.b, key / kKeys, tile.kv_head);
  if (!page) return -kInfinity;
  return score_of(p, tile, 0, key, product_of(p, tile, page, key), stage);
}

/// A block a query (x) and a head (y). Thread t has keys t, t + kThreads, …, so that sums have one order.
template <typename T>
HEDDLE_KERNEL(kThreads)
write_scores(HEDDLE_PARAMETER Problem<T> p, HEDDLE_PARAMETER Wanted w, unsigned long long* failure) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  if (block_x() == 0 && block_y() == 0) check_pages(p.pages, INT32_MIN, failure);
  const int64_t token = w.rows ? w.rows[block_x()] : block_x(), head = w.heads ? w.heads[block_y()] : block_y();
  const int64_t b = sequence_at(p.pages, token);
  const Sequence sequence = sequence_of(p.pages, b);
  if (token < sequence.first || token >= sequence.first + sequence.tokens) return;
  const RowTile tile{static_cast<int32_t>(b), static_cast<int32_t>(head / p.group),
                     static_cast<int32_t>((token - sequence.first) * p.group + head % p.group), 1, sequence};
  const bool weights = w.stage == ScoreStage::kWeights;
  const auto score = [&](int64_t key) { return masked_score(p, tile, w.stage, key); };
  float* const out = w.out + (block_x() * w.num_heads + block_y()) * w.width;

  if (!weights) {
    for (int64_t key = thread_index(); key < w.width; key += kThreads) {
      out[key] = key < sequence.keys ? score(key) : -kInfinity;
    }
    return;
  }
  const float sink = p.sinks ? p.sinks[head] : -kInfinity;
  float top = sink;
  for (int64_t key = thread_index(); key < sequence.keys; key += kThreads) {
    const float s = score(key);
    if (!w.by_distance) out[key] = s;
    top = fmaxf(top, s);  // drops a NaN; it comes back in the sum
  }
  top = reduce_block(top, slots, Largest{});
  const float shift = top == -kInfinity ? 0.0f : top;
  const auto power = [&](int64_t key) { return expf((w.by_distance ? score(key) : out[key]) - shift); };
  float sum = 0.0f;
  for (int64_t key = thread_index(); key < sequence.keys; key += kThreads) sum += power(key);
  sum = reduce_block(sum, slots, Sum{}) + expf(sink - shift);
  const auto weight = [&](int64_t key) { return sum == 0.0f ? 0.0f : power(key) / sum; };
  if (!w.by_distance) {
    for (int64_t key = thread_index(); key < w.width; key += kThreads) {
      out[key] = key < sequence.keys ? weight(key) : 0.0f;
    }
    return;
  }
  // Between the ends each number has one key; those at the ends have all beyond.
  const int64_t first = w.low - position_of(p, tile, 0), last = w.width - 1;
  for (int64_t i = thread_index(); i < w.width; i += kThreads) out[i] = 0.0f;
  sync_block();
  float before = 0.0f, after = 0.0f;
  for (int64_t key = thread_index(); key < sequence.keys; key += kThreads) {
    const float share = weight(key);
    if (first + key <= 0) {
      before += share;
    } else if (first + key >= last) {
      after += share;
    } else {
      out[first + key] = share;
    }
  }
  before = reduce_block(before, slots, Sum{});
  after = reduce_block(after, slots, Sum{});
  if (thread_index() > 0) return;
  out[last] = after;
  out[0] = last == 0 ? before + after : before;
}

}  // namespace

Status run(const AttentionScores& op, CudaContext& context) {
  const Shape& shape = op.out->shape;
  const Wanted wanted{op.stage,
                      op.rows ? op.rows->data<int32_t>() : nullptr,
                      op.heads ? op.heads->data<int32_t>() : nullptr,
                      shape[1],
                      shape[2],
                      op.low,
                      op.distances > 0,
                      op.out->data<float>()};
  return with_float_type(op.scores.q->dtype, [&](auto type) {
    using T = decltype(type);
    Problem<T> p = scores_of<T>(op.scores);
    p.sinks = op.sinks ? op.sinks->data<float>() : nullptr;
    return launch(write_scores<T>, {shape[0], kThreads, shape[1]}, context, p, wanted, context.failure);
  });
}

}  // namespace heddle::cuda
