#include "ops/embedding.h"

#include <algorithm>
#include <cstring>

#include "core/allocator.h"
#include "core/quantized.h"
#include "cpu/kernels.h"
#include "ops/linear.h"

namespace heddle::cpu::HEDDLE_ISA {

namespace {

void check_ids(const Embedding& op) {
  const int32_t* ids = op.ids->data<int32_t>();
  for (int64_t i = 0; i < op.ids->numel(); ++i) {
    if (ids[i] < 0 || ids[i] >= op.table->shape[0]) op.fail(i, ids[i]);
  }
}

template <typename T>
void gather(const Embedding& op, KernelContext& context) {
  const T* table = op.table->data<T>();
  const int32_t* ids = op.ids->data<int32_t>();
  T* out = op.out->data<T>();
  const int64_t rows = op.ids->numel(), width = op.table->shape[1];
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

template <typename T>
void gather_quantized(const Embedding& op, KernelContext& context) {
  const auto* table = op.table->data<uint8_t>();
  const int32_t* ids = op.ids->data<int32_t>();
  T* out = op.out->data<T>();
  const int64_t width = op.table->shape[1];
  const Scratch<float> rows(context.allocator, width * context.threads);
  context.parallel_for(op.ids->numel(), static_cast<double>(width) * 4, [&](int64_t i, int worker) {
    float* const row = rows.get() + worker * width;
    dequantize_row(op.table->dtype, table, width, ids[i], row);
    std::transform(row, row + width, out + i * width, [](float value) { return from_float<T>(value); });
  });
}

}  // namespace

void run(const Embedding& op, KernelContext& context) {
  check_ids(op);
  if (is_quantized(op.table->dtype)) {
    return with_float_type(op.dtype, [&](auto type) { gather_quantized<decltype(type)>(op, context); });
  }
  with_float_type(op.table->dtype, [&](auto type) { gather<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
