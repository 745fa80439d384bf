#include "ops/cross_entropy.h"

#include "cpu/kernels.h"
#include "cpu/row_lse.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

template <typename T>
float loss_of(const T* x, int64_t width, int32_t label, float smoothing) {
  const float lse = row_lse(x, width);
  const float hard = lse - to_float(x[label]);
  if (smoothing == 0) return hard;
  const float mean = sum_of(width, [&](int64_t i, int n) { return Vec::load(x + i, n); }) / static_cast<float>(width);
  return (1 - smoothing) * hard + smoothing * (lse - mean);
}

}  // namespace

void run(const CrossEntropy& op, KernelContext& context) {
  const int64_t rows = op.losses->numel(), width = op.logits->shape[-1];
  const int32_t* labels = op.labels->data<int32_t>();
  float* losses = op.losses->data<float>();
  int64_t kept = 0;
  for (int64_t row = 0; row < rows; ++row) {
    if (labels[row] == op.ignored) continue;
    if (labels[row] < 0 || labels[row] >= width) op.fail(row, labels[row]);
    ++kept;
  }
  with_float_type(op.logits->dtype, [&](auto type) {
    const auto* x = op.logits->data<decltype(type)>();
    context.parallel_for(rows, static_cast<double>(width) * 0.8, [&](int64_t row) {
      const bool ignored = labels[row] == op.ignored;
      losses[row] = ignored ? 0.0f : loss_of(x + row * width, width, labels[row], op.smoothing);
    });
  });
  if (!op.mean) return;
  const float sum = sum_of(rows, [&](int64_t i, int n) { return Vec::load(losses + i, n); });
  *op.mean->data<float>() = sum / static_cast<float>(kept);
}

}  // namespace heddle::cpu::HEDDLE_ISA
