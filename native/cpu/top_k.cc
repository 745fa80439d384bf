#include "ops/top_k.h"

#include <algorithm>
#include <functional>
#include <type_traits>

#include "core/allocator.h"
#include "core/rank.h"
#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// NaN above all.
template <typename T>
uint32_t rank_of_element(T value) {
  if constexpr (std::is_same_v<T, int32_t>) {
    return static_cast<uint32_t>(value) ^ 0x80000000u;
  } else {
    const float x = to_float(value);
    return x != x ? UINT32_MAX : rank_of(x);
  }
}

template <typename T>
void find(const TopK& op, KernelContext& context) {
  const int64_t width = op.x->shape[-1], k = op.k;
  const T* x = op.x->data<T>();
  T* values = op.values->data<T>();
  int32_t* indices = op.indices->data<int32_t>();
  const Scratch<uint64_t> scratch(context.allocator, width * context.threads);
  context.parallel_for(op.values->numel() / k, static_cast<double>(width) * 4, [&](int64_t row, int worker) {
    // Rank and index as one number, which falls in the order wanted; the index is turned round, so that of equals the
    // lower comes first.
    uint64_t* const order = scratch.get() + worker * width;
    for (int64_t i = 0; i < width; ++i) {
      const uint32_t rank = rank_of_element(x[row * width + i]);
      order[i] = static_cast<uint64_t>(op.largest ? rank : ~rank) << 32 | ~static_cast<uint32_t>(i);
    }
    std::nth_element(order, order + k - 1, order + width, std::greater<>());
    if (op.sorted) std::sort(order, order + k, std::greater<>());
    int32_t* const places = indices + row * k;
    for (int64_t i = 0; i < k; ++i) places[i] = static_cast<int32_t>(~static_cast<uint32_t>(order[i]));
    if (!op.sorted) std::sort(places, places + k);
    for (int64_t i = 0; i < k; ++i) values[row * k + i] = x[row * width + places[i]];
  });
}

}  // namespace

void run(const TopK& op, KernelContext& context) {
  if (op.values->numel() == 0) return;
  if (op.x->dtype == DType::kInt32) return find<int32_t>(op, context);
  with_float_type(op.x->dtype, [&](auto type) { find<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
