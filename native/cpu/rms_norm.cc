#include "ops/rms_norm.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/norm_row.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

template <typename T>
void normalize(const RmsNorm& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  const T* x = op.x->data<T>();
  const T* residual = op.residual ? op.residual->data<T>() : nullptr;
  const T* weight = op.weight ? op.weight->data<T>() : nullptr;
  T* sums = op.sum ? op.sum->data<T>() : nullptr;
  T* out = op.out->data<T>();
  const int64_t floats = norm_row_floats<T>(width);
  const Scratch<float> scratch(context.allocator, floats * context.threads);
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.3, [&](int64_t row, int worker) {
    const int64_t begin = row * width;
    prefetch(x + begin + width, width);
    const float* in = norm_row(x + begin, residual ? residual + begin : nullptr, width, sums ? sums + begin : nullptr,
                               scratch.get() + worker * floats);
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
      y.store(out + begin + i, lanes);
    }
  });
}

}  // namespace

void run(const RmsNorm& op, KernelContext& context) {
  if (op.x->numel() == 0) return;
  with_float_type(op.x->dtype, [&](auto type) { normalize<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
