#include "cuda/kernels.h"
#include "cuda/reduce.h"
#include "ops/key_padding.h"
#include "ops/linear_attention.h"

namespace heddle::cuda {
namespace {

/// Lanes that share a column of the state: lane p has the rows p, p + 4, …
constexpr int kParts = 4;
constexpr int kMostColumns = 32;
constexpr int kMostTokens = 16;
constexpr size_t kSharedBytes = size_t{48} << 10;

/// A tensor [B, H, T, D], innermost axis dense.
template <typename T>
struct Rows {
  const T* data = nullptr;
  int64_t batch_step = 0, head_step = 0, token_step = 0;

  HEDDLE_DEVICE const T* at(int64_t b, int64_t head, int64_t t) const {
    return data + b * batch_step + head * head_step + t * token_step;
  }
};

template <typename T>
struct Problem {
  Rows<T> q, k, v, decay, beta, erase;
  KeyPadding padding;
  int64_t heads, group, queries, keys, key_width, value_width;
  bool decay_by_head, beta_shared, causal, normalized;
  FeatureMap features;
  float eps, scale;
  int columns, tokens;  // of a block; of a tile
  int64_t state_step;   // of a column in shared memory
  const float* past;
  T* out;
  float* state;
};

/// Rows of [Dk] that a tile has for each token.
enum Row { kKey, kSums, kErased, kGate, kQueries };

/// A block: some columns of the state of one key head of one sequence.
template <typename T>
struct Block {
  const Problem<T>& p;
  int64_t b, head;
  int part, column;      // of this thread
  int64_t first_column;  // of the block
  float *state, *sums;   // [columns, state_step], [Dk]
  float *rows, *values;  // [tokens, kQueries + group, Dk], [tokens, columns]

  HEDDLE_DEVICE float* row(int token, int64_t which) const {
    return rows + (token * (kQueries + p.group) + which) * p.key_width;
  }
  HEDDLE_DEVICE bool has_column() const { return first_column + column < p.value_width; }
  HEDDLE_DEVICE float feature(T x) const {
    const float v = widen(x);
    return p.features == FeatureMap::kNone ? v : v > 0.0f ? v + 1.0f : expf(v);
  }
  /// Of the state in `past` and the new state, whose rows have z behind the values.
  HEDDLE_DEVICE int64_t place(int64_t d) const {
    return ((b * p.heads + head) * p.key_width + d) * (p.value_width + (p.normalized ? 1 : 0));
  }

  HEDDLE_DEVICE void load() const {
    for (int64_t d = part; d < p.key_width; d += kParts) {
      const bool known = p.past && has_column();
      state[column * p.state_step + d] = known ? p.past[place(d) + first_column + column] : 0.0f;
    }
    for (int64_t d = thread_index(); d < p.key_width; d += num_threads()) {
      sums[d] = p.past && p.normalized ? p.past[place(d) + p.value_width] : 0.0f;
    }
  }

  HEDDLE_DEVICE void store() const {
    sync_block();  // the sums are written by other threads
    for (int64_t d = part; d < p.key_width && has_column(); d += kParts) {
      p.state[place(d) + first_column + column] = state[column * p.state_step + d];
    }
    if (!p.normalized || first_column > 0) return;
    for (int64_t d = thread_index(); d < p.key_width; d += num_threads()) p.state[place(d) + p.value_width] = sums[d];
  }

  HEDDLE_DEVICE float over_parts(float sum) const {
    sum += shuffle_xor(sum, 1);
    return sum + shuffle_xor(sum, 2);
  }
  /// x · this thread's column
  HEDDLE_DEVICE float product(const float* x) const {
    const float* const mine = state + column * p.state_step;
    float sum = 0.0f;
    for (int64_t d = part; d < p.key_width; d += kParts) sum = fmaf(x[d], mine[d], sum);
    return over_parts(sum);
  }

  /// Keys first … first + count - 1 as rows of float32.
  HEDDLE_DEVICE void stage_keys(int64_t first, int count) const {
    for (int64_t at = thread_index(); at < count * p.key_width; at += num_threads()) {
      const int token = static_cast<int>(at / p.key_width);
      const int64_t d = at % p.key_width, t = first + token;
      const float key = feature(p.k.at(b, head, t)[d]);
      row(token, kKey)[d] = key;
      if (p.erase.data) row(token, kErased)[d] = widen(p.erase.at(b, head, t)[d]) * key;
      if (p.decay.data) row(token, kGate)[d] = expf(widen(p.decay.at(b, head, t)[p.decay_by_head ? 0 : d]));
    }
    for (int at = thread_index(); at < count * p.columns; at += num_threads()) {
      const int64_t c = first_column + at % p.columns;
      values[at] = c < p.value_width ? widen(p.v.at(b, head, first + at / p.columns)[c]) : 0.0f;
    }
  }
  HEDDLE_DEVICE void stage_queries(int64_t first, int count) const {
    const int64_t width = p.group * p.key_width;
    for (int64_t at = thread_index(); at < count * width; at += num_threads()) {
      const int token = static_cast<int>(at / width);
      const int64_t i = first + token, of_group = at % width / p.key_width, d = at % p.key_width;
      if (i < 0) continue;
      row(token, kQueries + of_group)[d] = feature(p.q.at(b, head * p.group + of_group, i)[d]);
    }
  }
  /// z after each token of the tile.
  HEDDLE_DEVICE void add_sums(int64_t first, int count) const {
    for (int64_t d = thread_index(); d < p.key_width; d += num_threads()) {
      float sum = sums[d];
      for (int token = 0; token < count; ++token) {
        if (p.padding.keeps(b, first + token)) sum += row(token, kKey)[d];
        row(token, kSums)[d] = sum;
      }
      sums[d] = sum;
    }
  }

  HEDDLE_DEVICE void update(int64_t t, int token) const {
    float* const mine = state + column * p.state_step;
    if (p.decay.data) {
      const float* const gate = row(token, kGate);
      for (int64_t d = part; d < p.key_width; d += kParts) mine[d] *= gate[d];
    }
    float value = values[token * p.columns + column];
    if (p.beta.data) {
      const float known = product(row(token, p.erase.data ? kErased : kKey));
      value = widen(*p.beta.at(b, p.beta_shared ? 0 : head, t)) * (value - known);
    }
    const float* const key = row(token, kKey);
    for (int64_t d = part; d < p.key_width; d += kParts) mine[d] = fmaf(key[d], value, mine[d]);
  }

  HEDDLE_DEVICE void read(int64_t i, int token, const float* z) const {
    for (int64_t of_group = 0; of_group < p.group; ++of_group) {
      const float* const query = row(token, kQueries + of_group);
      float y = product(query);
      if (p.normalized) {
        float divisor = 0.0f;
        for (int64_t d = part; d < p.key_width; d += kParts) divisor = fmaf(z[d] + p.eps, query[d], divisor);
        divisor = over_parts(divisor);
        y = divisor == 0.0f ? 0.0f : y / divisor;
      } else {
        y *= p.scale;
      }
      if (part > 0 || !has_column()) continue;
      const int64_t of_all = (b * p.queries + i) * p.heads * p.group + head * p.group + of_group;
      p.out[of_all * p.value_width + first_column + column] = narrow<T>(y);
    }
  }

  /// `count` steps, tile by tile: step s writes key s, if `writes`, then reads query first_query + s, if `reads`.
  HEDDLE_DEVICE void walk(int64_t count, bool writes, bool reads, int64_t first_query) const {
    for (int64_t begin = 0; begin < count; begin += p.tokens) {
      const int tile = static_cast<int>(count - begin < p.tokens ? count - begin : p.tokens);
      sync_block();  // the tile before has been read
      if (writes) stage_keys(begin, tile);
      if (reads) stage_queries(first_query + begin, tile);
      sync_block();  // the tile is there
      if (writes && p.normalized) {
        add_sums(begin, tile);
        sync_block();  // and its sums
      }
      for (int token = 0; token < tile; ++token) {
        const int64_t step = begin + token, i = first_query + step;
        if (writes && p.padding.keeps(b, step)) update(step, token);
        if (reads && i >= 0) read(i, token, writes ? row(token, kSums) : sums);
      }
    }
  }
};

template <typename T>
HEDDLE_KERNEL(kMostColumns* kParts)
attend(HEDDLE_PARAMETER Problem<T> p) {
  float* const shared = dynamic_shared();
  const int thread = thread_index();
  float* const sums = shared + p.columns * p.state_step;
  float* const values = sums + p.key_width;
  const Block<T> block{p,
                       block_x() / p.heads,
                       block_x() % p.heads,
                       thread % kParts,
                       thread / kParts,
                       block_y() * p.columns,
                       shared,
                       sums,
                       values + p.tokens * p.columns,
                       values};
  block.load();
  if (p.causal) {
    const int64_t before = p.keys - p.queries;
    block.walk(-before, false, true, 0);
    block.walk(p.keys, true, true, -before);
  } else {
    block.walk(p.keys, true, false, 0);
    block.walk(p.queries, false, true, 0);
  }
  if (p.state) block.store();
}

template <typename T>
Rows<T> rows_of(const Tensor* x) {
  if (!x) return {};
  return {x->data<T>(), x->strides[0], x->strides[1], x->strides[2]};
}

size_t shared_bytes(int64_t key_width, int64_t group, int64_t state_step, int columns, int tokens) {
  const int64_t floats = columns * state_step + key_width + tokens * (columns + (kQueries + group) * key_width);
  return static_cast<size_t>(floats) * sizeof(float);
}

}  // namespace

Status run(const LinearAttention& op, CudaContext& context) {
  const int64_t batch = op.q->shape[0], heads = op.k->shape[1], width = op.k->shape[3], value_width = op.v->shape[3];
  const int64_t group = op.q->shape[1] / heads;
  // Columns four apart modulo 32: the lanes of a warp then read different banks.
  const int64_t state_step = width + (12 - width % 8) % 8;
  int columns = value_width <= 8 ? 8 : value_width <= 16 ? 16 : kMostColumns, tokens = kMostTokens;
  const auto bytes = [&] { return shared_bytes(width, group, state_step, columns, tokens); };
  while (bytes() > kSharedBytes && tokens > 1) tokens /= 2;
  while (bytes() > kSharedBytes && columns > 8) columns /= 2;
  return with_float_type(op.q->dtype, [&](auto type) {
    using T = decltype(type);
    Problem<T> p{};
    p.q = rows_of<T>(op.q);
    p.k = rows_of<T>(op.k);
    p.v = rows_of<T>(op.v);
    p.decay = rows_of<T>(op.decay);
    p.beta = rows_of<T>(op.beta);
    p.erase = rows_of<T>(op.erase);
    p.padding = KeyPadding::of(op.padding, op.k->shape[2]);
    p.heads = heads;
    p.group = group;
    p.queries = op.q->shape[2];
    p.keys = op.k->shape[2];
    p.key_width = width;
    p.value_width = value_width;
    p.decay_by_head = op.decay && op.decay->shape[3] == 1;
    p.beta_shared = op.beta && op.beta->shape[1] == 1;
    p.causal = op.causal;
    p.normalized = op.normalized;
    p.features = op.features;
    p.eps = op.eps;
    p.scale = op.scale;
    p.columns = columns;
    p.tokens = tokens;
    p.state_step = state_step;
    p.past = op.past ? op.past->data<float>() : nullptr;
    p.out = op.out->data<T>();
    p.state = op.state ? op.state->data<float>() : nullptr;
    // One block at least: z is there without values, too.
    const int64_t slices = value_width == 0 ? 1 : ceil_div(value_width, columns);
    return launch(attend<T>, {batch * heads, columns * kParts, slices, bytes()}, context, p);
  });
}

}  // namespace heddle::cuda
