#include "cuda/kernels.h"
#include "cuda/lanes.h"
#include "cuda/radix_select.h"
#include "cuda/reduce.h"
#include "ops/top_k.h"

namespace heddle::cuda {
namespace {

constexpr int kMaxThreads = 512;

HEDDLE_DEVICE uint32_t rank_of_element(int32_t x) { return static_cast<uint32_t>(x) ^ 0x80000000u; }
/// NaN above all.
template <typename T>
HEDDLE_DEVICE uint32_t rank_of_element(T element) {
  const float x = widen(element);
  return x != x ? UINT32_MAX : rank_of(x);
}

/// A block a row: finds the k-th, gathers what is not below it in the order of the indices, and sorts it by counting
/// for each what comes before.
template <typename T>
HEDDLE_KERNEL(kMaxThreads)
find(int64_t width, int64_t k, bool largest, bool sorted, const T* x, uint64_t* kept, T* values, int32_t* indices) {
  HEDDLE_SHARED(Selection, selection);
  HEDDLE_SHARED(WarpSlots<int>, counts);
  x += block_x() * width;
  kept += block_x() * k;
  // Rank and index as one number, which falls in the order wanted; the index is turned round, so that of equals the
  // lower comes first.
  const int low = index_bits(width);
  const auto order = [&](int64_t i) {
    const uint32_t rank = rank_of_element(x[i]);
    return static_cast<uint64_t>(largest ? rank : ~rank) << low | static_cast<uint64_t>(width - 1 - i);
  };
  const uint64_t lowest = radix_select(width, 32 + low, static_cast<Weight>(width - k), selection, order,
                                       [](int64_t) { return Weight{1}; });

  int64_t base = 0;
  for (int64_t first = 0; first < width; first += num_threads()) {
    const int64_t i = first + thread_index();
    const uint64_t own = i < width ? order(i) : 0;
    const bool wanted = i < width && own >= lowest;
    const uint32_t lanes = ballot(wanted);
    if (lane_index() == 0) counts[warp_index()] = count_bits(lanes);
    sync_block();
    int64_t place = base + count_bits(lanes & ((1u << lane_index()) - 1));
    for (int w = 0; w < num_warps(); ++w) {
      if (w < warp_index()) place += counts[w];
      base += counts[w];
    }
    if (wanted) kept[place] = own;
    sync_block();  // the counts may be written again, and what is kept may be read
  }

  for (int64_t i = thread_index(); i < k; i += num_threads()) {
    const uint64_t own = kept[i];
    int64_t place = i;
    if (sorted) {
      place = 0;
      for (int64_t j = 0; j < k; ++j) place += kept[j] > own;
    }
    const int64_t index = width - 1 - static_cast<int64_t>(own & ((uint64_t{1} << low) - 1));
    indices[block_x() * k + place] = static_cast<int32_t>(index);
    values[block_x() * k + place] = x[index];
  }
}

}  // namespace

Status run(const TopK& op, CudaContext& context) {
  if (op.values->numel() == 0) return kSuccess;
  const int64_t width = op.x->shape[-1], rows = op.values->numel() / op.k;
  auto* const kept =
      static_cast<uint64_t*>(context.allocate(context.owner, static_cast<size_t>(rows * op.k) * sizeof(uint64_t)));
  if (!kept) return kOutOfMemory;
  const auto run_as = [&](auto type) {
    using T = decltype(type);
    return launch(find<T>, {rows, threads_for_row(width, kMaxThreads)}, context, width, op.k, op.largest, op.sorted,
                  op.x->data<T>(), kept, op.values->data<T>(), op.indices->data<int32_t>());
  };
  return op.x->dtype == DType::kInt32 ? run_as(int32_t{}) : with_float_type(op.x->dtype, run_as);
}

}  // namespace heddle::cuda
