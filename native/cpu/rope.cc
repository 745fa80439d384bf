#include "ops/rope.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const Rope& op, KernelContext& context) {
  const int64_t tokens = op.x->shape[0], heads = op.x->shape[1], width = op.x->shape[2];
  const int64_t pairs = op.frequencies->shape[0];
  const float* x = op.x->data<float>();
  const int32_t* positions = op.positions->data<int32_t>();
  const float* frequencies = op.frequencies->data<float>();
  float* out = op.out->data<float>();
  // Cosines, then sines, of one token: its heads share them.
  const Scratch<float> scratch(context.allocator, 2 * pairs * context.threads + 1);
  const int64_t step = op.interleaved ? 2 : 1, partner = op.interleaved ? 1 : pairs;
  context.parallel_for(tokens, static_cast<double>(pairs * 30 + heads * width), [&](int64_t n, int worker) {
    float* cosine = scratch.get() + worker * 2 * pairs;
    float* sine = cosine + pairs;
    for (int64_t i = 0; i < pairs; ++i) {
      const float angle = static_cast<float>(positions[n]) * frequencies[i];
      cosine[i] = std::cos(angle) * op.factor;
      sine[i] = std::sin(angle) * op.factor;
    }
    for (int64_t h = 0; h < heads; ++h) {
      const float* from = x + n * op.x->strides[0] + h * op.x->strides[1];
      float* to = out + (n * heads + h) * width;
      for (int64_t i = 0; i < pairs; ++i) {
        const float a = from[i * step], b = from[i * step + partner];
        to[i * step] = a * cosine[i] - b * sine[i];
        to[i * step + partner] = b * cosine[i] + a * sine[i];
      }
      std::copy(from + 2 * pairs, from + width, to + 2 * pairs);
    }
  });
}

void run(const DynamicFrequencies& op, KernelContext&) {
  const int32_t* last = op.last->data<int32_t>();
  int64_t length = 0;
  for (int64_t i = 0; i < op.last->numel(); ++i) length = std::max<int64_t>(length, last[i] + int64_t{1});
  const auto width = static_cast<double>(op.rotary_width);
  double base = op.base;
  if (length > op.max_positions) {
    const double growth = op.factor * static_cast<double>(length) / static_cast<double>(op.max_positions);
    base *= std::pow(growth - (op.factor - 1), width / (width - 2));
  }
  float* out = op.out->data<float>();
  for (int64_t i = 0; i < op.rotary_width / 2; ++i) {
    out[i] = static_cast<float>(1 / std::pow(base, 2 * static_cast<double>(i) / width));
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
