#include "ops/embedding.h"

#include <cstring>

#include "cpu/kernels.h"
#include "ops/linear.h"

namespace heddle::cpu::HEDDLE_ISA {

namespace {

template <typename T>
void gather(const Embedding& op, KernelContext& context) {
  const T* table = op.table->data<T>();
  const int32_t* ids = op.ids->data<int32_t>();
  T* out = op.out->data<T>();
  const int64_t rows = op.ids->numel(), vocabulary = op.table->shape[0], width = op.table->shape[1];
  for (int64_t i = 0; i < rows; ++i) {
    if (ids[i] < 0 || ids[i] >= vocabulary) op.fail(i, ids[i]);
  }
  const bool packed = op.table->layout == Layout::kPanels;
  context.parallel_for(rows, static_cast<double>(width) * (packed ? 2.0 : 0.2), [&](int64_t i) {
    const int64_t id = ids[i];
    if (!packed) {
      std::memcpy(out + i * width, table + id * width, static_cast<size_t>(width) * sizeof(T));
      return;
    }
    const T* lane = table + id / kPanelWidth * kPanelWidth * width + id % kPanelWidth;
    for (int64_t k = 0; k < width; ++k) out[i * width + k] = lane[k * kPanelWidth];
  });
}

}  // namespace

void run(const Embedding& op, KernelContext& context) {
  with_float_type(op.table->dtype, [&](auto type) { gather<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
