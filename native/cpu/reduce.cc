#include "ops/reduce.h"

#include "cpu/kernels.h"
#include "cpu/row_lse.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

template <typename T>
float reduce_row(const T* x, int64_t width, ReduceKind kind) {
  if (kind == ReduceKind::kLogSumExp) return row_lse(x, width);
  const float sum = sum_of(width, [&](int64_t i, int n) { return Vec::load(x + i, n); });
  return kind == ReduceKind::kMean ? sum / static_cast<float>(width) : sum;
}

}  // namespace

void run(const Reduce& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1];
  with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    T* out = op.out->data<T>();
    context.parallel_for(op.out->numel(), static_cast<double>(width) * 0.4,
                         [&](int64_t row) { out[row] = from_float<T>(reduce_row(x + row * width, width, op.kind)); });
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
