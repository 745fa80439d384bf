#include "ops/matmul.h"

#include <algorithm>
#include <type_traits>

#include "core/allocator.h"
#include "cpu/gemm_tile.h"
#include "cpu/kernels.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// Rows of a tile: enough to read a panel from cache many times, few enough to leave tiles for every thread.
constexpr int64_t kBlockRows = 8 * kTileRows;
constexpr double kNsPerMultiplyAdd = 0.02;

/// The matrices of an operand, of which some serve several of the result.
class Matrices {
 public:
  explicit Matrices(const Tensor* tensor) : tensor_(tensor), axes_(tensor->shape.rank() - 2) {}

  int64_t count() const {
    int64_t product = 1;
    for (int axis = 0; axis < axes_; ++axis) product *= tensor_->shape[axis];
    return product;
  }
  int64_t row_step() const { return tensor_->strides[-2]; }
  int64_t column_step() const { return tensor_->strides[-1]; }

  template <typename T>
  const T* data(int64_t matrix) const {
    int64_t offset = 0;
    for (int axis = axes_ - 1; axis >= 0; --axis) {
      offset += matrix % tensor_->shape[axis] * tensor_->strides[axis];
      matrix /= tensor_->shape[axis];
    }
    return tensor_->data<T>() + offset;
  }

  /// Which one serves matrix `index` of the result.
  int64_t serving(int64_t index, const Shape& out) const {
    int64_t matrix = 0, step = 1;
    for (int axis = axes_ - 1; axis >= 0; --axis) {
      const int64_t size = out[axis - axes_ - 2], own = tensor_->shape[axis];
      if (own != 1) matrix += index % size * step;
      index /= size;
      step *= own;
    }
    return matrix;
  }

 private:
  const Tensor* tensor_;
  int axes_;
};

/// b as panels of 64 columns, [K][64], filled up with zeros: what gemm_tile reads.
template <typename T>
void pack(const Matrices& b, int64_t k, int64_t n, T* out, KernelContext& context) {
  const int64_t panels = (n + kPanelWidth - 1) / kPanelWidth;
  context.parallel_for(b.count() * panels, static_cast<double>(k * kPanelWidth), [&](int64_t tile) {
    const int64_t first = tile % panels * kPanelWidth, lanes = std::min(kPanelWidth, n - first);
    const T* from = b.template data<T>(tile / panels) + first * b.column_step();
    T* to = out + tile * k * kPanelWidth;
    for (int64_t i = 0; i < k; ++i, from += b.row_step(), to += kPanelWidth) {
      for (int64_t lane = 0; lane < lanes; ++lane) to[lane] = from[lane * b.column_step()];
      std::fill(to + lanes, to + kPanelWidth, T{});
    }
  });
}

/// a in float32, dense.
template <typename T>
void widen(const Matrices& a, int64_t m, int64_t k, float* out, KernelContext& context) {
  context.parallel_for(a.count() * m, static_cast<double>(k) * 0.5, [&](int64_t row) {
    const T* from = a.template data<T>(row / m) + row % m * a.row_step();
    for (int64_t i = 0; i < k; ++i) out[row * k + i] = to_float(from[i * a.column_step()]);
  });
}

template <typename T>
void multiply(const Matmul& op, KernelContext& context) {
  const Matrices a(op.a), b(op.b);
  const Shape& shape = op.out->shape;
  const int64_t m = shape[-2], n = shape[-1], k = op.a->shape[-1];
  const int64_t panels = (n + kPanelWidth - 1) / kPanelWidth, blocks = (m + kBlockRows - 1) / kBlockRows;
  const Scratch<T> packed(context.allocator, b.count() * panels * k * kPanelWidth);
  pack(b, k, n, packed.get(), context);
  const bool as_it_is = std::is_same_v<T, float> && a.column_step() == 1;
  const Scratch<float> wide(context.allocator, as_it_is ? 0 : a.count() * m * k);
  if (!as_it_is) widen<T>(a, m, k, wide.get(), context);

  T* out = op.out->data<T>();
  const int64_t count = op.out->numel() / (m * n);
  const double ns = static_cast<double>(std::min(m, kBlockRows) * k * kPanelWidth) * kNsPerMultiplyAdd;
  context.parallel_for(count * panels * blocks, ns, [&](int64_t tile) {
    const int64_t index = tile / (panels * blocks), panel = tile / blocks % panels, first = tile % blocks * kBlockRows;
    const int64_t matrix = a.serving(index, shape), column = panel * kPanelWidth;
    const float* rows = wide.get() + matrix * m * k;
    if constexpr (std::is_same_v<T, float>) {
      if (as_it_is) rows = a.data<float>(matrix);
    }
    const int64_t row_step = as_it_is ? a.row_step() : k;
    const T* columns = packed.get() + (b.serving(index, shape) * panels + panel) * k * kPanelWidth;
    alignas(64) float product[kTileRows * kPanelWidth];
    for (int64_t r = first; r < std::min(m, first + kBlockRows); r += kTileRows) {
      const int64_t some = std::min<int64_t>(kTileRows, m - r);
      gemm_tile(some, kPanelWidth, k, rows + r * row_step, row_step, columns, kPanelWidth, product, kPanelWidth, false);
      for (int64_t i = 0; i < some; ++i) {
        T* const to = out + (index * m + r + i) * n + column;
        vectors_of(0, std::min(kPanelWidth, n - column), [&](int64_t lane, int lanes) {
          Vec::load(product + i * kPanelWidth + lane).store(to + lane, lanes);
        });
      }
    }
  });
}

}  // namespace

void run(const Matmul& op, KernelContext& context) {
  if (op.out->numel() == 0) return;
  with_float_type(op.out->dtype, [&](auto type) { multiply<decltype(type)>(op, context); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
