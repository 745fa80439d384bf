#include "ops/gather.h"

#include <cstring>

#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const GatherRows& op, KernelContext& context) {
  const int32_t* index = op.index->data<int32_t>();
  const int64_t rows = op.index->numel(), count = op.x->shape[0], width = op.x->shape[1];
  const size_t bytes = static_cast<size_t>(width) * size_of(op.x->dtype);
  const auto* x = static_cast<const uint8_t*>(op.x->storage->data) + op.x->offset * size_of(op.x->dtype);
  auto* out = op.out->data<uint8_t>();
  for (int64_t i = 0; i < rows; ++i) {
    if (index[i] < -1 || index[i] >= count) op.fail(i, index[i]);
  }
  context.parallel_for(rows, static_cast<double>(width) * 0.2, [&](int64_t i) {
    if (index[i] < 0) {
      std::memset(out + i * bytes, 0, bytes);
    } else {
      std::memcpy(out + i * bytes, x + index[i] * bytes, bytes);
    }
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
