#include "ops/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "cpu/kernels.h"
#include "cpu/row_sum.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const RmsNorm& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  if (op.x->numel() == 0) return;
  const float* x = op.x->data<float>();
  const float* residual = op.residual ? op.residual->data<float>() : nullptr;
  const float* weight = op.weight ? op.weight->data<float>() : nullptr;
  float* sums = op.sum ? op.sum->data<float>() : nullptr;
  float* out = op.out->data<float>();
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.3, [&](int64_t row) {
    const float* in = x + row * width;
    if (residual) {
      float* to = sums + row * width;
      for (int64_t i = 0; i < width; ++i) to[i] = in[i] + residual[row * width + i];
      in = to;
    }
    const float squares = sum_of(width, [&](int64_t i, int n) {
      const Vec v = Vec::load(in + i, n);
      return v * v;
    });
    const Vec scale = Vec::set(1.0f / std::sqrt(squares / static_cast<float>(width) + op.eps));
    const Vec offset = Vec::set(op.offset);
    for (int64_t i = 0; i < width; i += Vec::kWidth) {
      const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
      Vec y = Vec::load(in + i, lanes) * scale;
      if (weight) y = y * (Vec::load(weight + i, lanes) + offset);
      y.store(out + row * width + i, lanes);
    }
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
