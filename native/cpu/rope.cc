#include "ops/rope.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "cpu/math.h"
#include "cpu/prefetch.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// factor · cos and factor · sin of the angles position · frequency.
void angles_of(float position, const float* frequencies, int64_t pairs, float factor, float* cosine, float* sine) {
  for (int64_t i = 0; i < pairs; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, pairs - i));
    const Vec angle = Vec::set(position) * Vec::load(frequencies + i, lanes);
    if (any(Vec::set(kMostAngle) < abs(angle))) {
      for (int64_t j = i; j < i + lanes; ++j) {
        cosine[j] = std::cos(position * frequencies[j]) * factor;
        sine[j] = std::sin(position * frequencies[j]) * factor;
      }
      continue;
    }
    const CosSin unit = cos_sin(angle);
    (unit.cos * Vec::set(factor)).store(cosine + i, lanes);
    (unit.sin * Vec::set(factor)).store(sine + i, lanes);
  }
}

/// (a, b) → (a cos - b sin, b cos + a sin) for `pairs` pairs.
template <typename T>
void turn_halves(const T* a, const T* b, const float* cosine, const float* sine, int64_t pairs, T* to_a, T* to_b) {
  for (int64_t i = 0; i < pairs; i += Vec::kWidth) {
    const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, pairs - i));
    const Vec x = Vec::load(a + i, lanes), y = Vec::load(b + i, lanes);
    const Vec c = Vec::load(cosine + i, lanes), s = Vec::load(sine + i, lanes);
    (x * c - y * s).store(to_a + i, lanes);
    (y * c + x * s).store(to_b + i, lanes);
  }
}

template <typename T>
void turn_neighbours(const T* from, const float* cosine, const float* sine, int64_t pairs, T* to) {
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = to_float(from[2 * i]), b = to_float(from[2 * i + 1]);
    to[2 * i] = from_float<T>(a * cosine[i] - b * sine[i]);
    to[2 * i + 1] = from_float<T>(b * cosine[i] + a * sine[i]);
  }
}

/// A head: the first 2 · pairs coordinates turn, the others stay.
template <typename T>
void turn(const T* from, const float* cosine, const float* sine, int64_t pairs, bool interleaved, int64_t width,
          T* to) {
  if (interleaved) {
    turn_neighbours(from, cosine, sine, pairs, to);
  } else {
    turn_halves(from, from + pairs, cosine, sine, pairs, to, to + pairs);
  }
  std::copy(from + 2 * pairs, from + width, to + 2 * pairs);
}

template <typename T>
void rotate(const Rope& op, KernelContext& context) {
  const int64_t tokens = op.x->shape[0], heads = op.x->shape[1], width = op.x->shape[2];
  const int64_t pairs = op.frequencies->shape[0];
  const T* x = op.x->data<T>();
  const int32_t* positions = op.positions->data<int32_t>();
  const float* frequencies = op.frequencies->data<float>();
  T* out = op.out->data<T>();
  // Cosines, then sines, of one token: its heads share them.
  const Scratch<float> scratch(context.allocator, 2 * pairs * context.threads + 1);
  context.parallel_for(tokens, static_cast<double>(pairs * 2 + heads * width), [&](int64_t n, int worker) {
    float* cosine = scratch.get() + worker * 2 * pairs;
    float* sine = cosine + pairs;
    angles_of(static_cast<float>(positions[n]), frequencies, pairs, op.factor, cosine, sine);
    for (int64_t h = 0; h < heads; ++h) {
      prefetch(x + (n + 1) * op.x->strides[0] + h * op.x->strides[1], width);
      turn(x + n * op.x->strides[0] + h * op.x->strides[1], cosine, sine, pairs, op.interleaved, width,
           out + (n * heads + h) * width);
    }
  });
}

template <typename T>
void rotate(const Rotate& op, KernelContext& context) {
  const Shape &shape = op.x->shape, &strides = op.x->strides;
  const int64_t heads = shape[1], tokens = shape[2], width = shape[3], pairs = op.cosine->shape[1];
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  const int32_t* positions = op.positions ? op.positions->data<int32_t>() : nullptr;
  for (int64_t i = 0; positions && i < shape[0] * tokens; ++i) {
    if (positions[i] < 0 || positions[i] >= op.cosine->shape[0]) op.fail(i, positions[i]);
  }
  context.parallel_for(shape[0] * heads, static_cast<double>(tokens * width), [&](int64_t head) {
    const int64_t b = head / heads, h = head % heads;
    for (int64_t t = 0; t < tokens; ++t) {
      const int64_t row = positions ? positions[b * tokens + t] : b * op.batch_step + t;
      turn(x + b * strides[0] + h * strides[1] + t * strides[2], op.cosine->data<float>() + row * pairs,
           op.sine->data<float>() + row * pairs, pairs, op.interleaved, width, out + (head * tokens + t) * width);
    }
  });
}

}  // namespace

void run(const Rotate& op, KernelContext& context) {
  with_float_type(op.x->dtype, [&](auto type) { rotate<decltype(type)>(op, context); });
}

void run(const Rope& op, KernelContext& context) {
  with_float_type(op.x->dtype, [&](auto type) { rotate<decltype(type)>(op, context); });
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
