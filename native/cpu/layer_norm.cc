#include "ops/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/norm_row.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

template <typename T>
void normalize(const LayerNorm& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  const T* x = op.x->data<T>();
  const T* residual = op.residual ? op.residual->data<T>() : nullptr;
  const T* weight = op.weight ? op.weight->data<T>() : nullptr;
  const T* bias = op.bias ? op.bias->data<T>() : nullptr;
  T* sums = op.sum ? op.sum->data<T>() : nullptr;
  T* out = op.out->data<T>();
  const int64_t floats = norm_row_floats<T>(width);
  const Scratch<float> scratch(context.allocator, floats * context.threads);
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.4, [&](int64_t row, int worker) {
    const int64_t begin = row * width;
    prefetch(x + begin + width, width);
    const float* in = norm_row(x + begin, residual ? residual + begin : nullptr, width, sums ? sums + begin : nullptr,
                               scratch.get() + worker * floats);
    const float count = static_cast<float>(width);
    const float center = sum_of(width, [&](int64_t i, int n) { return Vec::load(in + i, n); }) / count;
    const Vec mean = Vec::set(center);
    const float squares = sum_of(width, [&](int64_t i, int n) {
      const Vec d = Vec::load(in + i, n) - mean;
      return d * d;
    });
    const float deviation =
        op.unbiased ? std::sqrt(squares / (count - 1)) + op.eps : std::sqrt(squares / count + op.eps);
    const Vec scale = Vec::set(1.0f / deviation);
    if (op.mean) {
      op.mean->data<float>()[row] = center;
      op.inverse_deviation->data<float>()[row] = 1.0f / deviation;
    }
    for (int64_t i = 0; i < width; i += Vec::kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
      Vec y = (Vec::load(in + i, lanes) - mean) * scale;
      if (weight) y = y * Vec::load(weight + i, lanes);
      if (bias) y = y + Vec::load(bias + i, lanes);
      y.store(out + begin + i, lanes);
    }
  });
}

}  // namespace

void run(const LayerNorm& op, KernelContext& context) {
  if (op.x->numel() == 0) return;
  with_float_type(op.x->dtype, [&](auto type) { normalize<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
