#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "cuda/strided.h"
#include "ops/scatter.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

/// In chosen[n] what is least for the last i with index[i] = n. It was all ones.
HEDDLE_KERNEL(kElementThreads)
choose_rows(int64_t rows, int64_t count, const int32_t* index, unsigned long long* chosen,
            unsigned long long* failure) {
  for_each<int64_t>(rows, [&](int64_t i) {
    if (index[i] < -1 || index[i] >= count) return report(failure, Fault::kIndex, i, index[i]);
    if (index[i] >= 0) atomic_min(&chosen[index[i]], static_cast<unsigned long long>(rows - 1 - i));
  });
}

HEDDLE_KERNEL(kElementThreads) fill_with_ones(int64_t count, unsigned long long* out) {
  for_each<int64_t>(count, [&](int64_t i) { out[i] = ~0ull; });
}

/// A block a row. T: an unsigned type of an element's size.
template <typename T>
HEDDLE_KERNEL(kThreads)
place_rows(int64_t rows, int64_t width, bool aligned, const T* x, const T* from, const unsigned long long* chosen,
           T* out) {
  const int64_t row = block_x();
  const T* const source =
      chosen[row] == ~0ull ? x + row * width : from + (rows - 1 - static_cast<int64_t>(chosen[row])) * width;
  T* const to = out + row * width;
  for (int64_t i = thread_index() * kLanes<T>; i < width; i += kThreads * kLanes<T>) {
    store_bits(to + i, load_bits(source + i, width - i, aligned), width - i, aligned);
  }
}

/// A thread an element. T: an unsigned type of an element's size.
template <typename Index, typename T>
HEDDLE_KERNEL(kElementThreads)
scatter(Index count, TensorScatter::Sizes s, int64_t limit, const T* cache, const T* update, const int32_t* first,
        T* out, unsigned long long* failure) {
  const Index inner = static_cast<Index>(s.inner), length = static_cast<Index>(s.length);
  for_each<Index>(count, [&](Index i) {
    const Index row = i / inner, lines = row / length;
    const int64_t b = lines / static_cast<Index>(s.outer), given = first ? first[b] : 0;
    if (given < 0 || given > limit) {
      if (i % static_cast<Index>(s.outer * s.length * s.inner) == 0) report(failure, Fault::kIndex, b, given);
      return;
    }
    const Index begin = static_cast<Index>(given) % length;
    const Index step = (row % length + length - begin) % length;
    const bool updated = step < static_cast<Index>(s.updated);
    out[i] = updated ? update[(static_cast<int64_t>(lines) * s.updated + step) * s.inner + i % inner] : cache[i];
  });
}

}  // namespace

Status run(const ScatterRows& op, CudaContext& context) {
  const int64_t count = op.x->shape[0], width = op.x->shape[1], rows = op.index->numel();
  if (count == 0 && rows == 0) return kSuccess;
  auto* const chosen = static_cast<unsigned long long*>(
      context.allocate(context.owner, static_cast<size_t>(count + 1) * sizeof(unsigned long long)));
  if (!chosen) return kOutOfMemory;
  Status status = launch(fill_with_ones, grid_for(count), context, count, chosen);
  if (status != kSuccess) return status;
  status =
      launch(choose_rows, grid_for(rows), context, rows, count, op.index->data<int32_t>(), chosen, context.failure);
  if (status != kSuccess) return status;
  return with_bits_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    const T* x = op.x->data<T>();
    const T* from = op.rows->data<T>();
    T* out = op.out->data<T>();
    const bool aligned = width % kLanes<T> == 0 && is_aligned(x) && is_aligned(from) && is_aligned(out);
    return launch(place_rows<T>, {count, kThreads}, context, rows, width, aligned, x, from, chosen, out);
  });
}

Status run(const TensorScatter& op, CudaContext& context) {
  const TensorScatter::Sizes sizes = op.sizes();
  const int64_t count = op.out->numel(), limit = op.circular ? INT32_MAX : sizes.length - sizes.updated;
  return with_any_bits_type(op.cache->dtype, [&](auto type) {
    using T = decltype(type);
    return with_index(count, [&](auto index) {
      return launch(scatter<decltype(index), T>, grid_for(count), context, index, sizes, limit, op.cache->data<T>(),
                    op.update->data<T>(), op.first ? op.first->data<int32_t>() : nullptr, op.out->data<T>(),
                    context.failure);
    });
  });
}

}  // namespace heddle::cuda
