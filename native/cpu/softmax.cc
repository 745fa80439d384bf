#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/row_lse.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// out = e^(x - m); returns the sum, lane by lane, then across.
template <typename T>
float exponentials(const T* x, int64_t width, float m, float* out) {
  Vec total = Vec::set(0.0f);
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    const Vec y = exp(Vec::load(x + i, lanes) - Vec::set(m));
    y.store(out + i, lanes);
    total = total + select(Vec::first(lanes), y, Vec::set(0.0f));
  }
  return sum(total);
}

template <typename From, typename To, typename Function>
void map(const From* x, int64_t width, To* out, const Function& function) {
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    function(Vec::load(x + i, lanes)).store(out + i, lanes);
  }
}

template <typename T>
void softmax(const Softmax& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  constexpr bool kIsHalf = !std::is_same_v<T, float>;
  const Scratch<float> scratch(context.allocator, kIsHalf ? width * context.threads : 0);
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.8, [&](int64_t row, int worker) {
    const T* in = x + row * width;
    T* to = out + row * width;
    const float m = maximum(in, width);
    float* powers;  // not rounded before they are divided
    if constexpr (kIsHalf) {
      powers = scratch.get() + worker * width;
    } else {
      powers = to;
    }
    const float total = exponentials(in, width, m, powers);
    if (op.log) {
      const Vec shift = Vec::set(m), log_total = Vec::set(std::log(total));
      map(in, width, to, [&](Vec v) { return (v - shift) - log_total; });
    } else {
      const Vec divisor = Vec::set(total);
      map(powers, width, to, [&](Vec v) { return v / divisor; });
    }
  });
}

template <typename T>
void argmax(const Argmax& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  const T* x = op.x->data<T>();
  int32_t* out = op.out->data<int32_t>();
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.5, [&](int64_t row) {
    const T* in = x + row * width;
    int64_t best = 0;
    float top = to_float(in[0]);
    for (int64_t i = 1; i < width && top == top; ++i) {
      const float value = to_float(in[i]);
      if (value <= top) continue;
      best = i;  // larger, or NaN
      top = value;
    }
    out[row] = static_cast<int32_t>(best);
  });
}

}  // namespace

void run(const Softmax& op, KernelContext& context) {
  if (op.x->numel() == 0) return;
  with_float_type(op.x->dtype, [&](auto type) { softmax<decltype(type)>(op, context); });
}

void run(const Argmax& op, KernelContext& context) {
  if (op.x->numel() == 0) return;
  with_float_type(op.x->dtype, [&](auto type) { argmax<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
