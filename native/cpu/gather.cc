#include "ops/gather.h"

#include <cstring>

#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const GatherRows& op, KernelContext& context) {
  const float* x = op.x->data<float>();
  const int32_t* index = op.index->data<int32_t>();
  float* out = op.out->data<float>();
  const int64_t rows = op.index->numel(), count = op.x->shape[0], width = op.x->shape[1];
  const size_t bytes = static_cast<size_t>(width) * sizeof(float);
  for (int64_t i = 0; i < rows; ++i) {
    if (index[i] < -1 || index[i] >= count) op.fail(i, index[i]);
  }
  context.parallel_for(rows, static_cast<double>(width) * 0.2, [&](int64_t i) {
    if (index[i] < 0) {
      std::memset(out + i * width, 0, bytes);
    } else {
      std::memcpy(out + i * width, x + index[i] * width, bytes);
    }
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
