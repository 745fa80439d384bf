#include "core/quantize_numbers.h"
#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "ops/embedding.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// Whether the block's id has a row; reports it if not.
HEDDLE_DEVICE bool in_table(int64_t id, int64_t vocabulary, unsigned long long* failure) {
  if (id >= 0 && id < vocabulary) return true;
  if (thread_index() == 0) report(failure, Fault::kIndex, block_x(), id);
  return false;
}

/// A block a row. T: an unsigned type of an element's size.
template <typename T>
HEDDLE_KERNEL(kThreads)
embed_dense(int64_t vocabulary, int64_t width, bool aligned, const T* table, const int32_t* ids, T* out,
            unsigned long long* failure) {
  const int64_t row = block_x();
  const int64_t id = ids[row];
  if (!in_table(id, vocabulary, failure)) return;
  const T* from = table + id * width;
  T* to = out + row * width;
  for (int64_t i = thread_index() * kLanes<T>; i < width; i += kThreads * kLanes<T>) {
    store_bits(to + i, load_bits(from + i, width - i, aligned), width - i, aligned);
  }
}

/// The same from panels: a row is one lane of its panel.
template <typename T>
HEDDLE_KERNEL(kThreads)
embed_panels(int64_t vocabulary, int64_t width, const T* table, const int32_t* ids, T* out,
             unsigned long long* failure) {
  const int64_t row = block_x();
  const int64_t id = ids[row];
  if (!in_table(id, vocabulary, failure)) return;
  const T* lane = table + id / kPanelWidth * kPanelWidth * width + id % kPanelWidth;
  for (int64_t i = thread_index(); i < width; i += kThreads) out[row * width + i] = lane[i * kPanelWidth];
}

/// The same of whole numbers, which become Ts.
template <typename T>
HEDDLE_KERNEL(kThreads)
embed_quantized(DType dtype, int64_t vocabulary, int64_t width, int64_t panel_bytes, const uint8_t* table,
                const int32_t* ids, T* out, unsigned long long* failure) {
  const int64_t row = block_x();
  const int64_t id = ids[row];
  if (!in_table(id, vocabulary, failure)) return;
  const uint8_t* const panel = table + id / kPanelWidth * panel_bytes;
  const int64_t lane = id % kPanelWidth;
  const float scale = reinterpret_cast<const float*>(panel)[lane];
  for (int64_t i = thread_index(); i < width; i += kThreads) {
    const int whole = whole_weight(dtype, panel + kScaleBytes, lane, i);
    out[row * width + i] = narrow<T>(scale * static_cast<float>(whole));
  }
}

}  // namespace

Status run(const Embedding& op, CudaContext& context) {
  const int32_t* ids = op.ids->data<int32_t>();
  const int64_t vocabulary = op.table->shape[0], width = op.table->shape[1];
  const Grid grid{op.ids->numel(), kThreads};
  const DType dtype = op.table->dtype;
  if (is_quantized(dtype)) {
    const auto bytes = static_cast<int64_t>(panel_bytes(dtype, width));
    return with_float_type(op.dtype, [&](auto type) {
      using T = decltype(type);
      return launch(embed_quantized<T>, grid, context, dtype, vocabulary, width, bytes, op.table->data<uint8_t>(), ids,
                    op.out->data<T>(), context.failure);
    });
  }
  return with_bits_type(dtype, [&](auto type) {
    using T = decltype(type);
    const T* table = op.table->data<T>();
    T* out = op.out->data<T>();
    if (op.table->layout == Layout::kPanels) {
      return launch(embed_panels<T>, grid, context, vocabulary, width, table, ids, out, context.failure);
    }
    const bool aligned = width % kLanes<T> == 0 && is_aligned(table) && is_aligned(out);
    return launch(embed_dense<T>, grid, context, vocabulary, width, aligned, table, ids, out, context.failure);
  });
}

}  // namespace heddle::cuda
