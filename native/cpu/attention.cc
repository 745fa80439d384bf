#include "ops/attention.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/mask.h"
#include "cpu/math.h"
#include "cpu/product.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();
/// Rows of a tile: a row is one query of one head; the heads that share keys lie together.
constexpr int64_t kRows = 8 * kTileRows;
constexpr double kNsPerMultiplyAdd = 0.02;

/// Some rows of one sequence and one key head.
struct Tile {
  int64_t sequence;
  int64_t kv_head;
  int64_t first_row;
  int64_t rows;
};

/// One online softmax a row: largest score, sum of exponentials, weighted sum of values (not yet divided).
struct State {
  float max[kRows];
  float sum[kRows];
  float* out;  // [kRows, padded value width]

  void reset(int64_t rows, int64_t width) {
    std::fill(max, max + rows, -kInfinity);
    std::fill(sum, sum + rows, 0.0f);
    std::fill(out, out + rows * width, 0.0f);
  }
};

float exp_of(float x) {
  alignas(64) float lanes[Vec::kWidth];
  exp(Vec::set(x)).store(lanes);
  return lanes[0];
}

void scale_row(float* row, int64_t width, float factor) {
  const Vec f = Vec::set(factor);
  for (int64_t i = 0; i < width; i += Vec::kWidth) (Vec::load(row + i) * f).store(row + i);
}

/// scores [kPageKeys] of one row, those not in `keep` dropped → probabilities relative to the row's new maximum, as a T
/// holds them; what the state holds is rescaled to it.
template <typename T>
void absorb_scores(float* scores, uint64_t keep, float scale, State& state, int64_t row, int64_t width) {
  const Vec minus_infinity = Vec::set(-kInfinity), factor = Vec::set(scale);
  Vec top = minus_infinity;
  for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
    const Vec s = select(Vec::from_bits(keep >> j), Vec::load(scores + j) * factor, minus_infinity);
    s.store(scores + j);
    top = max(s, top);
  }
  const float before = state.max[row], now = std::max(before, largest(top));
  if (now > before) {
    const float shrink = exp_of(before - now);  // e^-∞ = 0 for a first block
    state.max[row] = now;
    state.sum[row] *= shrink;
    scale_row(state.out + row * width, width, shrink);
  }
  const Vec shift = Vec::set(now == -kInfinity ? 0.0f : now);  // nothing yet: avoids -∞ - (-∞)
  Vec total = Vec::set(0.0f);
  for (int64_t j = 0; j < kPageKeys; j += Vec::kWidth) {
    const Vec p = exp(Vec::load(scores + j) - shift);
    rounded_to<T>(p).store(scores + j);
    total = total + p;
  }
  state.sum[row] += sum(total);
}

/// What `span` holds joins `total`.
void merge(State& total, const State& span, int64_t row, int64_t width) {
  if (span.sum[row] == 0.0f) return;  // no key of the span: as if it had not been
  const float now = std::max(total.max[row], span.max[row]);
  const float old_share = exp_of(total.max[row] - now), new_share = exp_of(span.max[row] - now);
  total.max[row] = now;
  total.sum[row] = total.sum[row] * old_share + span.sum[row] * new_share;
  const Vec a = Vec::set(old_share), b = Vec::set(new_share);
  for (int64_t i = row * width; i < (row + 1) * width; i += Vec::kWidth) {
    fma(Vec::load(total.out + i), a, Vec::load(span.out + i) * b).store(total.out + i);
  }
}

/// T: what queries, keys, values and results are.
template <typename T>
class Kernel {
  using P = Product<T>;
  static_assert(kRows % P::kRowStep == 0);

 public:
  explicit Kernel(const Attention& op)
      : op_(op),
        shape_(op.cache.shape),
        cu_(op.cu_seqlens->data<int32_t>()),
        lengths_(op.cache.lengths->data<int32_t>()),
        kv_heads_(op.cache.pages->shape[1]),
        group_(op.q->shape[2] / kv_heads_),
        mask_(op.mask),
        width_(shape_.padded_value_width()) {}

  int64_t queries(int64_t sequence) const { return cu_[sequence + 1] - cu_[sequence]; }
  int64_t tiles_per_head(int64_t sequence) const { return (queries(sequence) * group_ + kRows - 1) / kRows; }
  int64_t tiles(int64_t sequence) const { return tiles_per_head(sequence) * kv_heads_; }
  int64_t batch() const { return op_.cache.lengths->numel(); }

  /// Floats of scratch a tile needs.
  int64_t scratch_floats() const { return kRows * (P::left_width(shape_.key_width) + kPageKeys + 2 * width_); }

  double tile_ns() const {
    int64_t keys = 0, rows = 0;
    for (int64_t b = 0; b < batch(); ++b) {
      keys = std::max(keys, lengths_[b] + queries(b));
      rows = std::max(rows, std::min(kRows, queries(b) * group_));
    }
    return static_cast<double>(std::max<int64_t>(rows, 8) * keys * (shape_.key_width + width_)) * kNsPerMultiplyAdd;
  }

  void run(const Tile& tile, float* scratch) const {
    const typename P::Scope scope;
    const int64_t q_width = P::left_width(shape_.key_width);
    auto* const q = reinterpret_cast<typename P::Left*>(scratch);  // [rows, Dk]
    float* const scores = scratch + kRows * q_width;
    State total, span;
    total.out = scores + kRows * kPageKeys;
    span.out = total.out + kRows * width_;
    int64_t most = 0;  // keys that any row can see
    for (int64_t r = 0; r < tile.rows; ++r) {
      most = std::max(most, limit_of(tile, r));
      P::load_row(query(tile, r), shape_.key_width, q + r * q_width);
    }
    total.reset(tile.rows, width_);
    constexpr int64_t kSpanKeys = Attention::kSpanBlocks * kPageKeys;
    for (int64_t begin = 0; begin < most; begin += kSpanKeys) {
      span.reset(tile.rows, width_);
      for (int64_t key = begin; key < std::min(most, begin + kSpanKeys); key += kPageKeys) {
        block(tile, key, q, scores, span);
      }
      for (int64_t r = 0; r < tile.rows; ++r) merge(total, span, r, width_);
    }
    for (int64_t r = 0; r < tile.rows; ++r) write(tile, r, total);
  }

 private:
  /// One key block: scores, online softmax, values. A key that no row of the tile may see is not touched: what is
  /// there may be NaN.
  void block(const Tile& tile, int64_t key, const typename P::Left* q, float* scores, State& span) const {
    uint64_t keep[kRows];
    const uint64_t seen = visible(tile, key, keep);
    if (seen == 0) return;
    const T* keys = page(tile, key / kPageKeys);
    P::multiply(tile.rows, kPageKeys, shape_.key_width, q, keys, scores);
    for (int64_t r = 0; r < tile.rows; ++r) {
      absorb_scores<T>(scores + r * kPageKeys, keep[r], op_.scale, span, r, width_);
    }
    P::add_values(tile.rows, width_, scores, seen, keys + shape_.value_offset(), span.out);
  }

  /// Bit j of keep[r]: whether row r may attend to key + j. Returns the union.
  uint64_t visible(const Tile& tile, int64_t key, uint64_t* keep) const {
    const int64_t first = tile.first_row / group_, last = (tile.first_row + tile.rows - 1) / group_;
    const int64_t offset = lengths_[tile.sequence];
    uint64_t seen = 0;
    for (int64_t r = 0; r < tile.rows; ++r) {
      const int64_t count = std::max<int64_t>(0, std::min(kPageKeys, limit_of(tile, r) - key));
      keep[r] = count == kPageKeys ? ~uint64_t{0} : (uint64_t{1} << count) - 1;
      seen |= keep[r];
    }
    if (mask_.empty()) return seen;
    const Cover cover = mask_.cover(mask_rows(tile, 0), offset + first, offset + last + 1, key, key + kPageKeys);
    if (cover != Cover::kMixed) return cover == Cover::kAll ? seen : 0;
    seen = 0;
    for (int64_t r = 0; r < tile.rows; ++r) {
      if (keep[r] != 0) keep[r] &= mask_.word(mask_rows(tile, r), offset + (tile.first_row + r) / group_, key);
      seen |= keep[r];
    }
    return seen;
  }

  MaskRows mask_rows(const Tile& tile, int64_t r) const {
    const int64_t head = tile.kv_head * group_ + (tile.first_row + r) % group_;
    return {tile.sequence, head, lengths_[tile.sequence]};
  }

  const T* page(const Tile& tile, int64_t index) const {
    const Tensor* table = op_.cache.block_table;
    const int64_t at = table->data<int32_t>()[tile.sequence * table->shape[1] + index];
    return op_.cache.pages->data<T>() + (at * kv_heads_ + tile.kv_head) * shape_.elements();
  }

  int64_t limit_of(const Tile& tile, int64_t r) const {
    const int64_t i = (tile.first_row + r) / group_;
    return std::max<int64_t>(0, lengths_[tile.sequence] + (op_.causal ? i + 1 : queries(tile.sequence)));
  }

  /// Offset of a row in q, out or lse, [Bq, Tq, H, …].
  int64_t offset(const Tile& tile, int64_t r, const Tensor* x) const {
    const int64_t row = tile.first_row + r;
    const int64_t n = cu_[tile.sequence] + row / group_, head = tile.kv_head * group_ + row % group_;
    return n / x->shape[1] * x->strides[0] + n % x->shape[1] * x->strides[1] + head * x->strides[2];
  }

  const T* query(const Tile& tile, int64_t r) const { return op_.q->data<T>() + offset(tile, r, op_.q); }

  void write(const Tile& tile, int64_t r, const State& total) const {
    if (op_.lse) {
      op_.lse->data<float>()[offset(tile, r, op_.lse)] =
          total.sum[r] == 0.0f ? -kInfinity : total.max[r] + std::log(total.sum[r]);
    }
    T* to = op_.out->data<T>() + offset(tile, r, op_.out);
    // A row that sees nothing gives 0. Adding 0 turns -0 into 0: rows nearby decide whether a hidden key was added.
    const Vec divisor = Vec::set(total.sum[r] == 0.0f ? 1.0f : total.sum[r]);
    for (int64_t i = 0; i < shape_.value_width; i += Vec::kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, shape_.value_width - i));
      (Vec::load(total.out + r * width_ + i) / divisor + Vec::set(0.0f)).store(to + i, lanes);
    }
  }

  const Attention& op_;
  const PageShape shape_;
  const int32_t* const cu_;
  const int32_t* const lengths_;
  const int64_t kv_heads_;
  const int64_t group_;  // query heads that share a key head
  const MaskReader mask_;
  const int64_t width_;
};

template <typename T>
void attend(const Attention& op, KernelContext& context) {
  const Kernel<T> kernel(op);
  int64_t total = 0;
  for (int64_t b = 0; b < kernel.batch(); ++b) total += kernel.tiles(b);
  const Scratch<float> scratch(context.allocator, kernel.scratch_floats() * context.threads);
  context.parallel_for(total, kernel.tile_ns(), [&](int64_t index, int worker) {
    Tile tile{};
    while (index >= kernel.tiles(tile.sequence)) index -= kernel.tiles(tile.sequence++);
    const int64_t per_head = kernel.tiles_per_head(tile.sequence);
    tile.kv_head = index / per_head;
    tile.first_row = index % per_head * kRows;
    const int64_t rows = kernel.queries(tile.sequence) * (op.q->shape[2] / op.cache.pages->shape[1]);
    tile.rows = std::min(kRows, rows - tile.first_row);
    kernel.run(tile, scratch.get() + worker * kernel.scratch_floats());
  });
}

}  // namespace

void run(const Attention& op, KernelContext& context) {
  check_values(Attention::kName, op.cu_seqlens, op.q->shape[0] * op.q->shape[1], op.cache, INT32_MIN);
  with_product_type(op.q->dtype, [&](auto type) { attend<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
