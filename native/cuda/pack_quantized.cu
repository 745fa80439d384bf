#include "cuda/quantized.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPanel = static_cast<int>(kPanelWidth);
/// Groups of a panel that a block writes.
constexpr int kGroups = kThreads / kPanel;

/// A block a row of the weight, and of what fills up the last panel: its scale.
template <typename T>
HEDDLE_KERNEL(kThreads)
scale_rows(DType dtype, int64_t n, int64_t k, bool aligned, const T* weight, int64_t panel_bytes, uint8_t* panels) {
  HEDDLE_SHARED(WarpSlots<uint32_t>, slots);
  const int64_t row = block_x();
  float scale = 0;
  if (row < n) {
    const uint32_t bits = largest_of_row(weight + row * k, k, aligned, slots);
    scale = bits < kNotFinite ? scale_of_weight(dtype, float_from(bits)) : float_from(0x7fc00000);
  }
  if (thread_index() == 0) reinterpret_cast<float*>(panels + row / kPanel * panel_bytes)[row % kPanel] = scale;
}

/// A thread a group of an output.
template <typename T>
HEDDLE_KERNEL(kThreads)
pack_groups(DType dtype, int64_t k, const T* weight, int64_t panel_bytes, int64_t groups, uint8_t* panels) {
  constexpr int kInputs = static_cast<int>(kGroup);
  const int lane = thread_index() % kPanel;
  const int64_t row = block_y() * kPanel + lane, group = block_x() * kGroups + thread_index() / kPanel;
  if (group >= groups) return;
  uint8_t* const panel = panels + block_y() * panel_bytes;
  const float scale = reinterpret_cast<const float*>(panel)[lane];
  const bool counts = scale > 0;  // neither zero nor NaN
  const float inverse = counts ? 1 / scale : 0.0f;
  float units[kInputs];
  HEDDLE_UNROLL
  for (int i = 0; i < kInputs; ++i) {
    const int64_t at = group * kInputs + i;
    units[i] = counts && at < k ? widen(weight[row * k + at]) * inverse : 0.0f;
  }
  uint8_t* const values = panel + kScaleBytes;
  if (dtype == DType::kInt8) {
    auto* const to = reinterpret_cast<uint32_t*>(values) + group * kInputs / 4 * kPanel + lane;
    HEDDLE_UNROLL
    for (int w = 0; w < kInputs / 4; ++w) to[w * kPanel] = int8_word(units + 4 * w, 1.0f);
  } else {
    uint8_t* const at = values + group * kInt4GroupBytes;
    uint32_t words[kInputs / 8] = {};
    at[lane] = counts ? static_cast<uint8_t>(quantize_group(units, words)) : 0;
    auto* const to = reinterpret_cast<uint32_t*>(at + kPanel) + lane;
    HEDDLE_UNROLL
    for (int w = 0; w < kInputs / 8; ++w) to[w * kPanel] = words[w];
  }
}

}  // namespace

Status pack_quantized(const PackPanels& op, CudaContext& context) {
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  const int64_t panels = ceil_div(n, kPanelWidth), bytes = panel_bytes(op.dtype, k);
  const int64_t groups = padded_inputs(op.dtype, k) / kGroup;
  auto* const out = op.out->data<uint8_t>();
  return with_float_type(op.weight->dtype, [&](auto type) {
    using T = decltype(type);
    const T* const weight = op.weight->data<T>();
    const bool aligned = k % kLanes<T> == 0 && is_aligned(weight);
    const Status status =
        launch(scale_rows<T>, {panels * kPanelWidth, kThreads}, context, op.dtype, n, k, aligned, weight, bytes, out);
    if (status != kSuccess) return status;
    return launch(pack_groups<T>, {ceil_div(groups, kGroups), kThreads, panels}, context, op.dtype, k, weight, bytes,
                  groups, out);
  });
}

}  // namespace heddle::cuda
