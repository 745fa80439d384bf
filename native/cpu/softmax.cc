#include "ops/softmax.h"

#include <algorithm>
#include <cmath>

#include "cpu/kernels.h"
#include "cpu/math.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr float kInfinity = __builtin_inff();

float maximum(const float* x, int64_t width) {
  Vec top = Vec::set(-kInfinity);
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    top = select(Vec::first(lanes), max(Vec::load(x + i, lanes), top), top);
  }
  return largest(top);
}

/// out = e^(x - m); returns the sum, lane by lane, then across.
float exponentials(const float* x, int64_t width, float m, float* out) {
  Vec total = Vec::set(0.0f);
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    const Vec y = exp(Vec::load(x + i, lanes) - Vec::set(m));
    y.store(out + i, lanes);
    total = total + select(Vec::first(lanes), y, Vec::set(0.0f));
  }
  return sum(total);
}

template <typename Function>
void map(const float* x, int64_t width, float* out, const Function& function) {
  for (int64_t i = 0; i < width; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, width - i));
    function(Vec::load(x + i, lanes)).store(out + i, lanes);
  }
}

}  // namespace

void run(const Softmax& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  if (op.x->numel() == 0) return;
  const float* x = op.x->data<float>();
  float* out = op.out->data<float>();
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.8, [&](int64_t row) {
    const float* in = x + row * width;
    float* to = out + row * width;
    const float m = maximum(in, width);
    const float total = exponentials(in, width, m, to);
    if (op.log) {
      const Vec shift = Vec::set(m), log_total = Vec::set(std::log(total));
      map(in, width, to, [&](Vec v) { return (v - shift) - log_total; });
    } else {
      const Vec divisor = Vec::set(total);
      map(to, width, to, [&](Vec v) { return v / divisor; });
    }
  });
}

void run(const Argmax& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  if (op.x->numel() == 0) return;
  const float* x = op.x->data<float>();
  int32_t* out = op.out->data<int32_t>();
  context.parallel_for(op.x->numel() / width, static_cast<double>(width) * 0.5, [&](int64_t row) {
    const float* in = x + row * width;
    int64_t best = 0;
    for (int64_t i = 1; i < width && in[best] == in[best]; ++i) {
      if (!(in[i] <= in[best])) best = i;  // larger, or NaN
    }
    out[row] = static_cast<int32_t>(best);
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
