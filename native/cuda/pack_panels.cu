#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "cuda/linear_quantized.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPanel = static_cast<int>(kPanelWidth);
/// Rows of a panel that a block writes.
constexpr int kRows = 16;

/// Zeros beyond N. T: an unsigned type of an element's size.
template <typename T>
HEDDLE_KERNEL(kThreads)
pack_panels(int64_t n, int64_t k, int64_t n_step, int64_t k_step, const T* weight, T* out) {
  const int64_t panel = block_y();
  const int lane = thread_index() % kPanel;
  const int64_t column = panel * kPanel + lane;
  for (int64_t i = block_x() * kRows + thread_index() / kPanel; i < (block_x() + 1) * kRows && i < k;
       i += kThreads / kPanel) {
    out[(panel * k + i) * kPanel + lane] = column < n ? weight[column * n_step + i * k_step] : T{};
  }
}

}  // namespace

Status run(const PackPanels& op, CudaContext& context) {
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  if (is_quantized(op.dtype)) return pack_quantized(op, context);
  return with_bits_type(op.weight->dtype, [&](auto type) {
    using T = decltype(type);
    return launch(pack_panels<T>, {ceil_div(k, kRows), kThreads, ceil_div(n, kPanelWidth)}, context, n, k,
                  op.weight->strides[0], op.weight->strides[1], op.weight->data<T>(), op.out->data<T>());
  });
}

}  // namespace heddle::cuda
