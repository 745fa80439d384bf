#include "ops/concat.h"

#include <cstring>

#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const Concat& op, KernelContext& context) {
  if (op.out->numel() == 0) return;
  const auto element = static_cast<int64_t>(size_of(op.out->dtype));
  const int64_t row_bytes = op.row_elements(op.out) * element;
  auto* out = op.out->data<uint8_t>();
  for (const Tensor* part : op.parts) {
    if (!part) break;
    const int64_t bytes = op.row_elements(part) * element;
    if (bytes == 0) continue;
    const auto* from = static_cast<const uint8_t*>(part->storage->data) + part->offset * element;
    context.parallel_for(op.out->numel() * element / row_bytes, static_cast<double>(bytes) * 0.1,
                         [&](int64_t row) { std::memcpy(out + row * row_bytes, from + row * bytes, bytes); });
    out += bytes;
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
