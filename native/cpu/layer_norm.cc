#include "ops/layer_norm.h"

#include <algorithm>
#include <cmath>

#include "cpu/kernels.h"
#include "cpu/row_sum.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const LayerNorm& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  if (op.x->numel() == 0) return;
  const float* x = op.x->data<float>();
  const float* residual = op.residual ? op.residual->data<float>() : nullptr;
  const float* weight = op.weight ? op.weight->data<float>() : nullptr;
  const float* bias = op.bias ? op.bias->data<float>() : nullptr;
  float* sums = op.sum ? op.sum->data<float>() : nullptr;
  float* out = op.out->data<float>();
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.4, [&](int64_t row) {
    const float* in = x + row * width;
    if (residual) {
      float* to = sums + row * width;
      for (int64_t i = 0; i < width; ++i) to[i] = in[i] + residual[row * width + i];
      in = to;
    }
    const float count = static_cast<float>(width);
    const Vec mean = Vec::set(sum_of(width, [&](int64_t i, int n) { return Vec::load(in + i, n); }) / count);
    const float variance = sum_of(width,
                                  [&](int64_t i, int n) {
                                    const Vec d = Vec::load(in + i, n) - mean;
                                    return d * d;
                                  }) /
                           count;
    const Vec scale = Vec::set(1.0f / std::sqrt(variance + op.eps));
    for (int64_t i = 0; i < width; i += Vec::kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
      Vec y = (Vec::load(in + i, lanes) - mean) * scale;
      if (weight) y = y * Vec::load(weight + i, lanes);
      if (bias) y = y + Vec::load(bias + i, lanes);
      y.store(out + row * width + i, lanes);
    }
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
