#include "cuda/norm_row.h"
#include "ops/layer_norm.h"

namespace heddle::cuda {
namespace {

/// Two passes over what was read once.
template <typename T, bool Narrow>
HEDDLE_KERNEL(Narrow ? kNarrowThreads : kNormThreads)
layer_norm(NormRows<T> rows, const T* weight, const T* bias, float eps, bool unbiased, float* means,
           float* inverse_deviations) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  NormRow<T, Narrow> row(rows);
  const float count = static_cast<float>(rows.width);
  const auto add = [](float a, float b) { return a + b; };

  LanesOf<T> total{};
  row.read([&](const LanesOf<T>& v, int, int) { total = map_lanes(total, v, add); });
  const float mean = row.sum(total, slots) / count;

  LanesOf<T> squares{};
  row.read_again([&](const LanesOf<T>& v, int left, int) {
    HEDDLE_UNROLL
    for (int i = 0; i < kLanes<T>; ++i) {
      // What fills up the last lanes must not count: its distance to the mean is not 0.
      squares.at[i] += i < left ? (v.at[i] - mean) * (v.at[i] - mean) : 0.0f;
    }
  });
  const float total_squares = row.sum(squares, slots);
  const float scale =
      1.0f / (unbiased ? sqrtf(total_squares / (count - 1.0f)) + eps : sqrtf(total_squares / count + eps));
  if (means && row.is_first()) {
    means[row.index] = mean;
    inverse_deviations[row.index] = scale;
  }

  row.read_again([&](const LanesOf<T>& v, int left, int i) {
    auto y = map_lanes(v, [=](float x) { return (x - mean) * scale; });
    if (weight) {
      const auto w = load_lanes<Reuse::kSoon>(weight + i, left, rows.aligned);
      y = map_lanes(y, w, [](float a, float b) { return a * b; });
    }
    if (bias) y = map_lanes(y, load_lanes<Reuse::kSoon>(bias + i, left, rows.aligned), add);
    row.write(i, y);
  });
}

}  // namespace

Status run(const LayerNorm& op, CudaContext& context) {
  if (op.x->numel() == 0) return kSuccess;
  if (op.x->shape[-1] > INT32_MAX / 2) return kInvalidValue;
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* weight = op.weight ? op.weight->data<T>() : nullptr;
    const T* bias = op.bias ? op.bias->data<T>() : nullptr;
    const NormRows<T> rows = norm_rows<T>(op, weight, bias);
    return launch(is_narrow(rows) ? layer_norm<T, true> : layer_norm<T, false>, norm_grid(rows), context, rows, weight,
                  bias, op.eps, op.unbiased, op.mean ? op.mean->data<float>() : nullptr,
                  op.inverse_deviation ? op.inverse_deviation->data<float>() : nullptr);
  });
}

}  // namespace heddle::cuda
