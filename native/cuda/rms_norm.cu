#include "cuda/norm_row.h"
#include "ops/rms_norm.h"

namespace heddle::cuda {
namespace {

template <typename T, bool Narrow>
HEDDLE_KERNEL(Narrow ? kNarrowThreads : kNormThreads)
rms_norm(NormRows<T> rows, const T* weight, float eps, float offset) {
  HEDDLE_SHARED(WarpSlots<float>, slots);
  NormRow<T, Narrow> row(rows);
  LanesOf<T> squares{};
  row.read([&](const LanesOf<T>& v, int, int) {
    squares = map_lanes(squares, v, [](float sum, float x) { return sum + x * x; });
  });
  const float scale = 1.0f / sqrtf(row.sum(squares, slots) / static_cast<float>(rows.width) + eps);
  row.read_again([&](const LanesOf<T>& v, int left, int i) {
    auto y = map_lanes(v, [=](float x) { return x * scale; });
    if (weight) {
      const auto w = load_lanes<Reuse::kSoon>(weight + i, left, rows.aligned);
      y = map_lanes(y, w, [=](float a, float b) { return a * (b + offset); });
    }
    row.write(i, y);
  });
}

}  // namespace

Status run(const RmsNorm& op, CudaContext& context) {
  if (op.x->numel() == 0) return kSuccess;
  if (op.x->shape[-1] > INT32_MAX / 2) return kInvalidValue;
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* weight = op.weight ? op.weight->data<T>() : nullptr;
    const NormRows<T> rows = norm_rows<T>(op, weight);
    return launch(is_narrow(rows) ? rms_norm<T, true> : rms_norm<T, false>, norm_grid(rows), context, rows, weight,
                  op.eps, op.offset);
  });
}

}  // namespace heddle::cuda
