#include "cuda/kernels.h"
#include "cuda/strided.h"
#include "ops/concat.h"

namespace heddle::cuda {
namespace {

/// A part's rows, `width` elements each, into rows of `step` elements. T: an unsigned type of an element's size.
template <typename Index, typename T>
HEDDLE_KERNEL(kElementThreads)
place(Index count, int64_t width, int64_t step, const T* from, T* out) {
  for_each<Index>(count, [&](Index i) {
    out[static_cast<int64_t>(i / static_cast<Index>(width)) * step + i % static_cast<Index>(width)] = from[i];
  });
}

}  // namespace

Status run(const Concat& op, CudaContext& context) {
  const int64_t step = op.row_elements(op.out);
  return with_any_bits_type(op.out->dtype, [&](auto type) -> Status {
    using T = decltype(type);
    T* out = op.out->data<T>();
    for (const Tensor* part : op.parts) {
      if (!part) break;
      const int64_t count = part->numel(), width = op.row_elements(part);
      const Status status = with_index(count, [&](auto index) {
        return launch(place<decltype(index), T>, grid_for(count), context, index, width, step, part->data<T>(), out);
      });
      if (status != kSuccess) return status;
      out += width;
    }
    return kSuccess;
  });
}

}  // namespace heddle::cuda
