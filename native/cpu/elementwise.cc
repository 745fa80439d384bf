#include "ops/elementwise.h"

#include <algorithm>

#include "cpu/activation.h"
#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr int64_t kTileElements = 16384;  // of an element-wise op: 64 KiB
constexpr double kNsPerElement = 0.1;

/// Calls body(begin, end) for runs of [0, count).
template <typename Body>
void for_runs(KernelContext& context, int64_t count, double ns_per_element, const Body& body) {
  const int64_t tiles = (count + kTileElements - 1) / kTileElements;
  context.parallel_for(tiles, ns_per_element * kTileElements,
                       [&](int64_t tile) { body(tile * kTileElements, std::min(count, (tile + 1) * kTileElements)); });
}

/// Offset of row-major element `index` of `shape` (its last axis left out) in a tensor of the given strides, axes
/// aligned at the last.
int64_t row_offset(int64_t index, const Shape& shape, const Tensor* tensor) {
  int64_t offset = 0;
  for (int axis = shape.rank() - 2; axis >= 0; --axis) {
    const int64_t at = index % shape[axis];
    index /= shape[axis];
    const int own = axis - (shape.rank() - tensor->shape.rank());
    if (own >= 0 && tensor->shape[own] != 1) offset += at * tensor->strides[own];
  }
  return offset;
}

/// The step along the last axis: 0 where a size of 1 is repeated.
int64_t last_stride(const Tensor* tensor) { return tensor->shape[-1] == 1 ? 0 : tensor->strides[-1]; }

}  // namespace

void run(const Copy& op, KernelContext& context) {
  const Shape& shape = op.x->shape;
  const int64_t width = shape.rank() ? shape[-1] : 1;
  if (shape.numel() == 0) return;
  const int64_t rows = shape.numel() / width;
  const int64_t step = shape.rank() ? op.x->strides[-1] : 1;
  const auto copy = [&](const auto* x, auto* out) {
    context.parallel_for(rows, static_cast<double>(width) * 0.5, [&](int64_t row) {
      const auto* from = x + row_offset(row, shape, op.x);
      auto* to = out + row * width;
      for (int64_t i = 0; i < width; ++i) to[i] = from[i * step];
    });
  };
  if (size_of(op.x->dtype) == 1) {
    copy(op.x->data<uint8_t>(), op.out->data<uint8_t>());
  } else {
    copy(op.x->data<int32_t>(), op.out->data<int32_t>());
  }
}

void run(const Add& op, KernelContext& context) {
  const float* a = op.a->data<float>();
  const float* b = op.b->data<float>();
  float* out = op.out->data<float>();
  const Shape& shape = op.out->shape;
  if (shape.numel() == 0) return;
  if (op.a->shape == op.b->shape && op.a->is_contiguous() && op.b->is_contiguous()) {
    for_runs(context, shape.numel(), kNsPerElement, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = a[i] + b[i];
    });
    return;
  }
  const int64_t width = shape[-1], a_step = last_stride(op.a), b_step = last_stride(op.b);
  context.parallel_for(shape.numel() / width, static_cast<double>(width) * 0.5, [&](int64_t row) {
    const float* from_a = a + row_offset(row, shape, op.a);
    const float* from_b = b + row_offset(row, shape, op.b);
    float* to = out + row * width;
    for (int64_t i = 0; i < width; ++i) to[i] = from_a[i * a_step] + from_b[i * b_step];
  });
}

void run(const Activate& op, KernelContext& context) {
  const float* x = op.x->data<float>();
  float* out = op.out->data<float>();
  with_activation(op.activation, [&](auto function) {
    for_runs(context, op.x->numel(), 1.0, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += Vec::kWidth) {
        const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, end - i));
        function(Vec::load(x + i, lanes)).store(out + i, lanes);
      }
    });
  });
}

void run(const Gated& op, KernelContext& context) {
  const float* gate = op.gate->data<float>();
  const float* up = op.up->data<float>();
  float* out = op.out->data<float>();
  with_activation(op.activation, [&](auto function) {
    for_runs(context, op.out->numel(), 1.0, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; i += Vec::kWidth) {
        const int lanes = static_cast<int>(std::min<int64_t>(Vec::kWidth, end - i));
        (function(Vec::load(gate + i, lanes)) * Vec::load(up + i, lanes)).store(out + i, lanes);
      }
    });
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
