#include "ops/softmax.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/prefetch.h"
#include "cpu/row_lse.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// out = e^(x - m) and its sum; x may be out.
[[gnu::noinline]] float exponentials(const float* x, int64_t width, float m, float* out) {
  return sum_of(width, [&](int64_t i, int lanes) {
    const Vec y = exp(Vec::load(x + i, lanes) - Vec::set(m));
    y.store(out + i, lanes);
    return y;
  });
}

template <typename From, typename To, typename Function>
void map(const From* x, int64_t width, To* out, const Function& function) {
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    function(Vec::load(x + i, lanes)).store(out + i, lanes);
  }
}

/// `scratch` of `width` floats where T is a half: powers are not rounded before they are divided.
template <typename T>
[[gnu::noinline]] void softmax_row(const T* x, int64_t width, bool log, float* scratch, T* out) {
  const float* values;
  float* powers;
  if constexpr (std::is_same_v<T, float>) {
    values = x;
    powers = out;
  } else {
    values = powers = scratch;
    map(x, width, scratch, [](Vec v) { return v; });
  }
  const float m = maximum(values, width);
  const float total = exponentials(values, width, m, powers);
  if (log) {
    const Vec shift = Vec::set(m), log_total = Vec::set(std::log(total));
    map(x, width, out, [&](Vec v) { return (v - shift) - log_total; });
  } else {
    const Vec divisor = Vec::set(total);
    map(powers, width, out, [&](Vec v) { return v / divisor; });
  }
}

template <typename T>
void softmax(const Softmax& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1], floats = std::is_same_v<T, float> ? 0 : width;
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  const Scratch<float> scratch(context.allocator, floats * context.threads);
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.8, [&](int64_t row, int worker) {
    prefetch(x + (row + 1) * width, width);
    softmax_row(x + row * width, width, op.log, scratch.get() + worker * floats, out + row * width);
  });
}

/// Where the first of a row's largest elements is; NaN is larger than all. Vectors below the largest are passed over.
template <typename T>
int64_t first_largest(const T* x, int64_t width) {
  const float most = maximum(x, width);
  const Vec top = Vec::set(most), zero = Vec::set(0.0f), one = Vec::set(1.0f);
  int64_t found = -1;
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    const Vec candidates = select(Vec::load(x + i, lanes) < top, zero, one);  // NaN among them
    if (!any(zero < candidates)) continue;
    for (int64_t j = i; j < i + lanes; ++j) {
      const float value = to_float(x[j]);
      if (value != value) return j;
      if (found < 0 && value == most) found = j;
    }
  }
  return found;
}

template <typename T>
void argmax(const Argmax& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  const T* x = op.x->data<T>();
  int32_t* out = op.out->data<int32_t>();
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.1,
                       [&](int64_t row) { out[row] = static_cast<int32_t>(first_largest(x + row * width, width)); });
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
