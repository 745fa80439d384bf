#include "ops/favor.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/math.h"
#include "cpu/row_sum.h"
#include "ops/key_padding.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr float kInfinity = INFINITY;

/// Drops a NaN, which comes back by its own row.
float largest_of(const float* x, int64_t width) {
  Vec top = Vec::set(-kInfinity);
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    const Vec v = Vec::load(x + i, lanes);
    top = select(Vec::first(lanes), select(top < v, v, top), top);
  }
  return largest(top);
}

template <typename T>
void map_features(const FavorFeatures& op, KernelContext& context) {
  const int64_t heads = op.x->shape[1], tokens = op.x->shape[2], width = op.x->shape[3];
  const int64_t features = op.out->shape[3], rows = op.x->shape[0] * heads * tokens;
  const T* x = op.x->data<T>();
  const float* products = op.products->data<float>();
  T* out = op.out->data<T>();
  const KeyPadding padding = KeyPadding::of(op.padding, tokens);
  const auto is_there = [&](int64_t row) { return padding.keeps(row / tokens / heads, row % tokens); };
  // The largest product of each row; of keys, of their head.
  const Scratch<float> tops(context.allocator, rows);
  float* const top = tops.get();
  context.parallel_for(rows, static_cast<double>(features) * 0.2, [&](int64_t row) {
    top[row] = op.softmax && is_there(row) ? largest_of(products + row * features, features) : -kInfinity;
  });
  for (int64_t begin = 0; begin < rows && !op.queries; begin += tokens) {
    std::fill(top + begin, top + begin + tokens, *std::max_element(top + begin, top + begin + tokens));
  }
  const float scale = 1.0f / std::sqrt(std::sqrt(static_cast<float>(width)));
  const Vec factor = Vec::set(scale), ratio = Vec::set(1.0f / std::sqrt(static_cast<float>(features)));
  const Vec eps = Vec::set(op.eps), zero = Vec::set(0.0f);
  context.parallel_for(rows, static_cast<double>(features), [&](int64_t row) {
    const int64_t t = row % tokens, head = row / tokens % heads, b = row / tokens / heads;
    const T* from = x + b * op.x->strides[0] + head * op.x->strides[1] + t * op.x->strides[2];
    const float squares = sum_of(width, [&](int64_t i, int lanes) {
      const Vec v = Vec::load(from + i, lanes);
      return v * v;
    });
    const bool there = is_there(row);
    const Vec half = Vec::set(squares / 2 * scale * scale), shift = Vec::set(top[row] * scale);
    for (int64_t i = 0; i < features; i += Vec::kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, features - i));
      const Vec product = Vec::load(products + row * features + i, lanes) * factor;
      const Vec y = op.softmax ? ratio * (exp((product - half) - shift) + eps) : max(zero, product) + eps;
      (there ? y : zero).store(out + row * features + i, lanes);
    }
  });
}

}  // namespace

void run(const FavorFeatures& op, KernelContext& context) {
  if (op.out->numel() == 0) return;
  with_float_type(op.x->dtype, [&](auto type) { map_features<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
