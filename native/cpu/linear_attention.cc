#include "ops/linear_attention.h"

#include <algorithm>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/math.h"
#include "cpu/row_sum.h"
#include "ops/key_padding.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// Vectors of a row of the state that are worked on at once: their sums stay in registers.
constexpr int kSliceVecs = 4;

int64_t padded(int64_t width) { return (width + 15) / 16 * 16; }

/// Calls body(i, lanes) for the vectors of a row.
template <typename Body>
void for_row(int64_t width, const Body& body) {
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    body(i, static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i)));
  }
}

template <typename T>
void load_features(const T* x, int64_t width, FeatureMap features, float* to) {
  const Vec zero = Vec::set(0.0f), one = Vec::set(1.0f);
  for_row(width, [&](int64_t i, int lanes) {
    const Vec v = Vec::load(x + i, lanes);
    (features == FeatureMap::kElu ? select(zero < v, v + one, exp(v)) : v).store(to + i, lanes);
  });
}

template <typename T>
const T* row_of(const Tensor* x, int64_t b, int64_t head, int64_t t) {
  return x->data<T>() + b * x->strides[0] + head * x->strides[1] + t * x->strides[2];
}

/// Some columns of the state of one key head of one sequence, and what changes and reads them. Columns know nothing of
/// each other, so how they are sliced changes nothing.
template <typename T, int Vecs>
class Slice {
 public:
  static constexpr int64_t kColumns = Vecs * Vec::kWidth;

  static int64_t scratch_floats(int64_t width) { return (kColumns + 5) * padded(width) + kColumns; }

  Slice(const LinearAttention& op, int64_t b, int64_t head, int64_t first, float* scratch)
      : op_(op),
        padding_(KeyPadding::of(op.padding, op.k->shape[2])),
        b_(b),
        head_(head),
        first_(first),
        columns_(std::min(kColumns, op.v->shape[3] - first)),
        width_(op.k->shape[3]),
        state_(scratch),
        sums_(state_ + kColumns * padded(width_)),
        query_(sums_ + padded(width_)),
        key_(query_ + padded(width_)),
        erased_(key_ + padded(width_)),
        gate_(erased_ + padded(width_)),
        value_(gate_ + padded(width_)) {}

  void run() {
    load();
    const int64_t keys = op_.k->shape[2], queries = op_.q->shape[2], before = keys - queries;
    if (op_.causal) {
      for (int64_t i = 0; i < -before; ++i) read(i);
      for (int64_t t = 0; t < keys; ++t) {
        update(t);
        if (t >= before) read(t - before);
      }
    } else {
      for (int64_t t = 0; t < keys; ++t) update(t);
      for (int64_t i = 0; i < queries; ++i) read(i);
    }
    if (op_.state) store();
  }

 private:
  /// Where row d of the state lies in `past` or the new state, whose rows have z behind the values.
  float* row_in(const Tensor* tensor, int64_t d) const {
    const int64_t rows = (b_ * op_.k->shape[1] + head_) * width_ + d;
    return tensor->data<float>() + rows * tensor->shape[3];
  }

  void load() {
    std::fill(state_, state_ + kColumns * width_, 0.0f);
    std::fill(sums_, sums_ + width_, 0.0f);
    if (!op_.past) return;
    for (int64_t d = 0; d < width_; ++d) {
      const float* from = row_in(op_.past, d);
      std::copy(from + first_, from + first_ + columns_, state_ + d * kColumns);
      if (op_.normalized) sums_[d] = from[op_.v->shape[3]];
    }
  }

  void store() const {
    for (int64_t d = 0; d < width_; ++d) {
      float* to = row_in(op_.state, d);
      std::copy(state_ + d * kColumns, state_ + d * kColumns + columns_, to + first_);
      if (op_.normalized && first_ == 0) to[op_.v->shape[3]] = sums_[d];
    }
  }

  /// x · state
  void product(const float* x, Vec (&sums)[Vecs]) const {
    for (Vec& sum : sums) sum = Vec::set(0.0f);
    for (int64_t d = 0; d < width_; ++d) {
      const Vec factor = Vec::set(x[d]);
      for (int n = 0; n < Vecs; ++n) {
        sums[n] = fma(factor, Vec::load(state_ + d * kColumns + n * Vec::kWidth), sums[n]);
      }
    }
  }

  void decay(int64_t t) {
    const T* from = row_of<T>(op_.decay, b_, head_, t);
    const bool by_head = op_.decay->shape[3] == 1;
    if (!by_head) {
      for_row(width_, [&](int64_t i, int lanes) { exp(Vec::load(from + i, lanes)).store(gate_ + i, lanes); });
    }
    const Vec all = exp(Vec::set(to_float(from[0])));
    for (int64_t d = 0; d < width_; ++d) {
      const Vec factor = by_head ? all : Vec::set(gate_[d]);
      float* row = state_ + d * kColumns;
      for (int n = 0; n < Vecs; ++n) (Vec::load(row + n * Vec::kWidth) * factor).store(row + n * Vec::kWidth);
    }
  }

  /// value_ = beta (value_ - what the state has for the key)
  void correct(int64_t t) {
    const float* erased = key_;
    if (op_.erase) {
      const T* erase = row_of<T>(op_.erase, b_, head_, t);
      for_row(width_, [&](int64_t i, int lanes) {
        (Vec::load(erase + i, lanes) * Vec::load(key_ + i, lanes)).store(erased_ + i, lanes);
      });
      erased = erased_;
    }
    Vec known[Vecs];
    product(erased, known);
    const bool shared = op_.beta->shape[1] == 1;
    const Vec beta = Vec::set(to_float(*row_of<T>(op_.beta, b_, shared ? 0 : head_, t)));
    for (int n = 0; n < Vecs; ++n) {
      float* value = value_ + n * Vec::kWidth;
      (beta * (Vec::load(value) - known[n])).store(value);
    }
  }

  void update(int64_t t) {
    if (!padding_.keeps(b_, t)) return;
    load_features(row_of<T>(op_.k, b_, head_, t), width_, op_.features, key_);
    const T* value = row_of<T>(op_.v, b_, head_, t) + first_;
    std::fill(value_, value_ + kColumns, 0.0f);
    for_row(columns_, [&](int64_t i, int lanes) { Vec::load(value + i, lanes).store(value_ + i, lanes); });
    if (op_.decay) decay(t);
    if (op_.beta) correct(t);
    Vec u[Vecs];
    for (int n = 0; n < Vecs; ++n) u[n] = Vec::load(value_ + n * Vec::kWidth);
    for (int64_t d = 0; d < width_; ++d) {
      const Vec factor = Vec::set(key_[d]);
      float* row = state_ + d * kColumns;
      for (int n = 0; n < Vecs; ++n) {
        fma(factor, u[n], Vec::load(row + n * Vec::kWidth)).store(row + n * Vec::kWidth);
      }
    }
    if (op_.normalized) {
      for_row(width_, [&](int64_t i, int lanes) {
        (Vec::load(sums_ + i, lanes) + Vec::load(key_ + i, lanes)).store(sums_ + i, lanes);
      });
    }
  }

  void read(int64_t i) {
    const int64_t heads = op_.q->shape[1], group = heads / op_.k->shape[1];
    for (int64_t head = head_ * group; head < (head_ + 1) * group; ++head) {
      load_features(row_of<T>(op_.q, b_, head, i), width_, op_.features, query_);
      Vec sums[Vecs];
      product(query_, sums);
      T* to = op_.out->template data<T>() + ((b_ * op_.q->shape[2] + i) * heads + head) * op_.v->shape[3] + first_;
      const float divisor = op_.normalized ? this->divisor() : 1.0f;
      const bool empty = divisor == 0.0f;
      for_row(columns_, [&](int64_t c, int lanes) {
        const Vec sum = sums[c / Vec::kWidth];
        const Vec y = op_.normalized ? sum / Vec::set(divisor) : sum * Vec::set(op_.scale);
        (empty ? Vec::set(0.0f) : y).store(to + c, lanes);
      });
    }
  }

  /// (z + eps) · query
  float divisor() const {
    const Vec eps = Vec::set(op_.eps);
    return sum_of(width_, [&](int64_t d, int lanes) {
      return (Vec::load(sums_ + d, lanes) + eps) * Vec::load(query_ + d, lanes);
    });
  }

  const LinearAttention& op_;
  const KeyPadding padding_;
  const int64_t b_, head_, first_, columns_, width_;
  float* const state_;  // [Dk, kColumns]
  float* const sums_;   // z
  float* const query_;  // and the other rows of [Dk]
  float* const key_;
  float* const erased_;
  float* const gate_;
  float* const value_;  // [kColumns]
};

template <typename T, int Vecs>
void attend(const LinearAttention& op, KernelContext& context) {
  using Part = Slice<T, Vecs>;
  const int64_t heads = op.k->shape[1], width = op.k->shape[3], value_width = op.v->shape[3];
  const int64_t slices = std::max<int64_t>(1, (value_width + Part::kColumns - 1) / Part::kColumns);
  const int64_t floats = Part::scratch_floats(width);
  const Scratch<float> scratch(context.allocator, floats * context.threads);
  const int64_t steps = 2 * op.k->shape[2] + op.q->shape[2] * (op.q->shape[1] / heads);
  const double ns = static_cast<double>(steps * (width + 16) * Vecs) * 0.5;
  context.parallel_for(op.q->shape[0] * heads * slices, ns, [&](int64_t tile, int worker) {
    const int64_t slice = tile % slices, head = tile / slices % heads, b = tile / slices / heads;
    Part(op, b, head, slice * Part::kColumns, scratch.get() + worker * floats).run();
  });
}

template <typename T>
void attend(const LinearAttention& op, KernelContext& context) {
  const int64_t vecs = (op.v->shape[3] + Vec::kWidth - 1) / Vec::kWidth;
  if (vecs <= 1) return attend<T, 1>(op, context);
  if (vecs <= 2) return attend<T, 2>(op, context);
  return attend<T, kSliceVecs>(op, context);
}

}  // namespace

void run(const LinearAttention& op, KernelContext& context) {
  with_float_type(op.q->dtype, [&](auto type) { attend<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
