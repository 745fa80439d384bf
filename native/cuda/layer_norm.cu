#include "cuda/norm_row.h"
#include "ops/layer_norm.h"

namespace heddle::cuda {
namespace {

/// A block a row, in two passes over what was read once.
HEDDLE_KERNEL(kNormThreads) layer_norm(NormRows rows, const float* weight, const float* bias, float eps) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  const NormRow row(rows);
  const float count = static_cast<float>(rows.width);
  const auto add = [](float a, float b) { return a + b; };

  float4 total{};
  row.read([&](float4 v, int64_t) { total = map_four(total, v, add); });
  const float mean = reduce_fours(total, slots) / count;

  float4 squares{};
  row.read_again([&](float4 v, int64_t left, int64_t) {
    // What fills up the last four must not count: its distance to the mean is not 0.
    const auto square = [=](float x, int64_t at) { return at < left ? (x - mean) * (x - mean) : 0.0f; };
    squares = map_four(squares, float4{square(v.x, 0), square(v.y, 1), square(v.z, 2), square(v.w, 3)}, add);
  });
  const float scale = 1.0f / sqrtf(reduce_fours(squares, slots) / count + eps);

  row.read_again([&](float4 v, int64_t left, int64_t i) {
    float4 y = map_four(v, [=](float x) { return (x - mean) * scale; });
    if (weight) y = map_four(y, load_four(weight + i, left, rows.aligned), [](float a, float b) { return a * b; });
    if (bias) y = map_four(y, load_four(bias + i, left, rows.aligned), add);
    row.write(i, y);
  });
}

}  // namespace

Status run(const LayerNorm& op, CudaContext& context) {
  if (op.x->numel() == 0) return kSuccess;
  const NormRows rows = norm_rows(op, {op.weight, op.bias});
  return launch(layer_norm, norm_grid(rows, op.x->numel()), context, rows,
                op.weight ? op.weight->data<float>() : nullptr, op.bias ? op.bias->data<float>() : nullptr, op.eps);
}

}  // namespace heddle::cuda
