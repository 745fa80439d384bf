#include "cuda/norm_row.h"
#include "ops/rms_norm.h"

namespace heddle::cuda {
namespace {

/// A block a row.
HEDDLE_KERNEL(kNormThreads) rms_norm(NormRows rows, const float* weight, float eps, float offset) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  const NormRow row(rows);
  float4 squares{};
  row.read([&](float4 v, int64_t) { squares = map_four(squares, v, [](float sum, float x) { return sum + x * x; }); });
  const float scale = 1.0f / sqrtf(reduce_fours(squares, slots) / static_cast<float>(rows.width) + eps);
  row.read_again([&](float4 v, int64_t left, int64_t i) {
    float4 y = map_four(v, [=](float x) { return x * scale; });
    if (weight) {
      const float4 w = load_four(weight + i, left, rows.aligned);
      y = map_four(y, w, [=](float a, float b) { return a * (b + offset); });
    }
    row.write(i, y);
  });
}

}  // namespace

Status run(const RmsNorm& op, CudaContext& context) {
  if (op.x->numel() == 0) return kSuccess;
  const NormRows rows = norm_rows(op, {op.weight});
  return launch(rms_norm, norm_grid(rows, op.x->numel()), context, rows, op.weight ? op.weight->data<float>() : nullptr,
                op.eps, op.offset);
}

}  // namespace heddle::cuda
