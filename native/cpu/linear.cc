#include "ops/linear.h"

#include <algorithm>
#include <type_traits>

#include "core/allocator.h"
#include "cpu/activation.h"
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr double kNsPerMultiplyAdd = 0.02;
constexpr double kNsPerByte = 0.0625;  // of weights, read from memory: 16 GB/s

template <typename T>
void pack(const PackPanels& op, KernelContext& context) {
  const T* weight = op.weight->data<T>();
  T* out = op.out->data<T>();
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  const int64_t n_step = op.weight->strides[0], k_step = op.weight->strides[1];
  context.parallel_for((n + kPanelWidth - 1) / kPanelWidth, static_cast<double>(k * kPanelWidth), [&](int64_t p) {
    const int64_t lanes = std::min(kPanelWidth, n - p * kPanelWidth);
    for (int64_t i = 0; i < k; ++i) {
      T* to = out + (p * k + i) * kPanelWidth;
      const T* from = weight + p * kPanelWidth * n_step + i * k_step;
      for (int64_t lane = 0; lane < lanes; ++lane) to[lane] = from[lane * n_step];
      std::fill(to + lanes, to + kPanelWidth, T{});
    }
  });
}

/// x [rows, k] as products take it: made once, not again for each panel.
template <typename T>
const typename Product<T>::Left* load_rows(const T* x, int64_t rows, int64_t k, typename Product<T>::Left* scratch,
                                           KernelContext& context) {
  if constexpr (std::is_same_v<T, float>) return x;
  context.parallel_for(rows, static_cast<double>(k) * 0.1, [&](int64_t row) {
    Product<T>::load_row(x + row * k, k, scratch + row * Product<T>::left_width(k));
  });
  return scratch;
}

/// Out of the tiles' loop: inlined there, each activation would bring its own copy of the product.
#if defined(__GNUC__)
__attribute__((noinline))
#endif
void activate(Activation activation, float* x, int64_t count) {
  with_activation(activation, [&](auto function) {
    for (int64_t i = 0; i < count; i += Vec::kWidth) function(Vec::load(x + i)).store(x + i);
  });
}

template <typename T, typename Out>
void multiply(const Linear& op, KernelContext& context) {
  using P = Product<T>;
  // Rows of a tile: enough to read a panel from cache many times, few enough to leave tiles for every thread.
  constexpr int64_t kBlockRows = std::max<int64_t>(8 * kTileRows, P::kRows);
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1], x_width = P::left_width(k);
  const int64_t rows = op.out->numel() / n, held = (rows + P::kRowStep - 1) / P::kRowStep * P::kRowStep;
  const Scratch<typename P::Left> scratch(context.allocator, std::is_same_v<T, float> ? 0 : held * x_width);
  const auto* x = load_rows<T>(op.x->data<T>(), rows, k, scratch.get(), context);
  const T* weight = op.weight->data<T>();
  const T* bias = op.bias ? op.bias->data<T>() : nullptr;
  const Out* residual = op.residual ? op.residual->data<Out>() : nullptr;
  Out* out = op.out->data<Out>();

  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t panels = (n + kPanelWidth - 1) / kPanelWidth;
  const double weights = static_cast<double>(k * kPanelWidth);
  const double ns = weights * std::max(kNsPerByte * sizeof(T), kNsPerMultiplyAdd * static_cast<double>(rows) / blocks);
  context.parallel_for(panels * blocks, ns, [&](int64_t tile) {
    const int64_t panel = tile / blocks, first = tile % blocks * kBlockRows;
    const int64_t column = panel * kPanelWidth;
    const int64_t lanes = std::min(kPanelWidth, n - column);
    const typename P::Scope scope;
    alignas(64) float product[P::kRows * kPanelWidth];
    for (int64_t r = first; r < std::min(rows, first + kBlockRows); r += P::kRows) {
      const int64_t count = std::min(P::kRows, rows - r);
      P::multiply(count, kPanelWidth, k, x + r * x_width, weight + panel * k * kPanelWidth, product);
      vectors_of(0, lanes, [&](int64_t lane, int width) {
        if (!bias) return;
        const Vec b = Vec::load(bias + column + lane, width);
        for (int64_t i = 0; i < count; ++i) {
          float* const at = product + i * kPanelWidth + lane;
          (Vec::load(at) + b).store(at);
        }
      });
      if (op.activation != Activation::kNone) activate(op.activation, product, count * kPanelWidth);
      for (int64_t i = 0; i < count; ++i) {
        const int64_t at = (r + i) * n + column;
        vectors_of(0, lanes, [&](int64_t lane, int width) {
          Vec y = Vec::load(product + i * kPanelWidth + lane);
          if (residual) y = y + Vec::load(residual + at + lane, width);
          y.store(out + at + lane, width);
        });
      }
    }
  });
}

}  // namespace

void run(const PackPanels& op, KernelContext& context) {
  with_float_type(op.weight->dtype, [&](auto type) { pack<decltype(type)>(op, context); });
}

void run(const Linear& op, KernelContext& context) {
  if (op.out->numel() == 0) return;
  with_product_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    if (op.out->dtype == op.x->dtype) {
      multiply<T, T>(op, context);
    } else {
      multiply<T, float>(op, context);
    }
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
