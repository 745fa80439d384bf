#include "ops/linear.h"

#include <algorithm>
#include <type_traits>

#include "core/allocator.h"
#include "core/quantized.h"
#include "cpu/activation.h"
#include "cpu/integer_product.h"
#include "cpu/kernels.h"
#include "cpu/product.h"
#include "cpu/runs.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

/// A type as a value.
template <typename T>
struct Named {
  using Type = T;
};

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

/// The same of integers: row by row of the weight.
void pack_quantized(const PackPanels& op, KernelContext& context) {
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1];
  auto* const out = op.out->data<uint8_t>();
  const Scratch<float> rows(context.allocator, k * context.threads);
  std::fill_n(out, op.out->storage->bytes, uint8_t{0});
  with_float_type(op.weight->dtype, [&](auto type) {
    const auto* const weight = op.weight->data<decltype(type)>();
    // Rows of a panel share bytes: a panel is one thread's.
    context.parallel_for(
        (n + kPanelWidth - 1) / kPanelWidth, static_cast<double>(k * kPanelWidth), [&](int64_t p, int worker) {
          float* const row = rows.get() + worker * k;
          for (int64_t i = p * kPanelWidth; i < std::min(n, (p + 1) * kPanelWidth); ++i) {
            std::transform(weight + i * k, weight + (i + 1) * k, row, [](auto value) { return to_float(value); });
            quantize_row(op.dtype, row, k, i, out);
          }
        });
  });
}

/// x · weightᵀ of float weights.
template <typename T>
class FloatProducts {
  using P = Product<T>;

 public:
  using Scope = typename P::Scope;
  /// Rows that are multiplied at once.
  static constexpr int64_t kRows = P::kRows;
  /// Rows of a tile: enough to read a panel from cache many times, few enough to leave tiles for every thread.
  static constexpr int64_t kBlockRows = std::max<int64_t>(8 * kTileRows, P::kRows);
  static constexpr double kPanelBytesPerInput = kPanelWidth * sizeof(T);
  static constexpr double kNsPerMultiplyAdd = 0.02;

  /// x is made what products take once, not again for each panel.
  FloatProducts(const Linear& op, int64_t rows, KernelContext& context)
      : k_(op.weight->shape[1]),
        width_(P::left_width(k_)),
        scratch_(context.allocator, kCopies ? (rows + P::kRowStep - 1) / P::kRowStep * P::kRowStep * width_ : 0),
        weight_(op.weight->data<T>()) {
    const T* const x = op.x->data<T>();
    if constexpr (kCopies) {
      x_ = scratch_.get();
      context.parallel_for(rows, static_cast<double>(k_) * 0.1,
                           [&](int64_t row) { P::load_row(x + row * k_, k_, scratch_.get() + row * width_); });
    } else {
      x_ = x;
    }
  }

  /// product [count, 64]
  void multiply(int64_t panel, int64_t row, int64_t count, float* product) const {
    P::multiply(count, kPanelWidth, k_, x_ + row * width_, weight_ + panel * k_ * kPanelWidth, product);
  }

 private:
  static constexpr bool kCopies = !std::is_same_v<T, float>;

  const int64_t k_, width_;
  const Scratch<typename P::Left> scratch_;
  const typename P::Left* x_;
  const T* const weight_;
};

/// The same of quantized weights.
template <typename T>
class IntegerProducts {
 public:
  using Scope = IntegerProduct::Scope;
  static constexpr int64_t kRows = 96, kBlockRows = kRows;
  static constexpr double kPanelBytesPerInput = kPanelWidth;
  static constexpr double kNsPerMultiplyAdd = 0.005;

  IntegerProducts(const Linear& op, int64_t rows, KernelContext& context)
      : dtype_(op.weight->dtype),
        k_(op.weight->shape[1]),
        stride_((k_ + IntegerRows::kStep - 1) / IntegerRows::kStep * IntegerRows::kStep),
        held_((rows + kRowStep - 1) / kRowStep * kRowStep),
        values_(context.allocator, held_ * stride_),
        scales_(context.allocator, held_),
        sums_(context.allocator, held_ * (1 + stride_ / kGroup)),
        x_{stride_, values_.get(), scales_.get(), sums_.get(), sums_.get() + held_},
        weight_(op.weight->data<uint8_t>()) {
    const T* const x = op.x->data<T>();
    context.parallel_for(rows, static_cast<double>(k_) * 0.2, [&](int64_t row) { x_.quantize(row, x + row * k_, k_); });
  }

  void multiply(int64_t panel, int64_t row, int64_t count, float* product) const {
    const uint8_t* const at = weight_ + panel * panel_bytes(dtype_, k_);
    auto* const scales = reinterpret_cast<const float*>(at);
    alignas(64) int32_t sums[kRows * kPanelWidth];
    IntegerProduct(x_, dtype_, k_).multiply(row, count, at, sums);
    for (int64_t r = 0; r < count; ++r) {
      const Vec scale = Vec::set(x_.scales[row + r]);
      for (int64_t n = 0; n < kPanelWidth; n += Vec::kWidth) {
        const int64_t i = r * kPanelWidth + n;
        (Vec::of_integers(sums + i) * scale * Vec::load(scales + n)).store(product + i);
      }
    }
  }

 private:
  static constexpr int64_t kRowStep = IntegerProduct::kRowStep;

  const DType dtype_;
  const int64_t k_, stride_, held_;
  const Scratch<int8_t> values_;
  const Scratch<float> scales_;
  const Scratch<int32_t> sums_;
  const IntegerRows x_;
  const uint8_t* const weight_;
};

/// Out of the tiles' loop: inlined there, each activation would bring its own copy of the product.
#if defined(__GNUC__)
__attribute__((noinline))
#endif
void activate(Activation activation, float* x, int64_t count) {
  with_activation(activation, [&](auto function) {
    for (int64_t i = 0; i < count; i += Vec::kWidth) function(Vec::load(x + i)).store(x + i);
  });
}

template <typename Products, typename T, typename Out>
void multiply(const Linear& op, KernelContext& context) {
  constexpr int64_t kRows = Products::kRows, kBlockRows = Products::kBlockRows;
  const int64_t n = op.weight->shape[0], k = op.weight->shape[1], rows = op.out->numel() / n;
  const Products products(op, rows, context);
  const T* bias = op.bias ? op.bias->data<T>() : nullptr;
  const Out* residual = op.residual ? op.residual->data<Out>() : nullptr;
  Out* out = op.out->data<Out>();

  const int64_t blocks = (rows + kBlockRows - 1) / kBlockRows;
  const int64_t panels = (n + kPanelWidth - 1) / kPanelWidth;
  const double ns =
      static_cast<double>(k) * std::max(kNsPerByte * Products::kPanelBytesPerInput,
                                        Products::kNsPerMultiplyAdd * static_cast<double>(kPanelWidth * rows) / blocks);
  context.parallel_for(panels * blocks, ns, [&](int64_t tile) {
    const int64_t panel = tile / blocks, first = tile % blocks * kBlockRows;
    const int64_t column = panel * kPanelWidth;
    const int64_t lanes = std::min(kPanelWidth, n - column);
    const typename Products::Scope scope;
    alignas(64) float product[kRows * kPanelWidth];
    for (int64_t r = first; r < std::min(rows, first + kBlockRows); r += kRows) {
      const int64_t count = std::min(kRows, rows - r);
      products.multiply(panel, r, count, product);
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
  if (is_quantized(op.dtype)) return pack_quantized(op, context);
  with_float_type(op.weight->dtype, [&](auto type) { pack<decltype(type)>(op, context); });
}

void run(const Linear& op, KernelContext& context) {
  if (op.out->numel() == 0) return;
  const auto with_out = [&](auto type, auto products) {
    using T = decltype(type);
    using Products = typename decltype(products)::Type;
    if (op.out->dtype == op.x->dtype) {
      multiply<Products, T, T>(op, context);
    } else {
      multiply<Products, T, float>(op, context);
    }
  };
  if (is_quantized(op.weight->dtype)) {
    with_float_type(op.x->dtype, [&](auto type) { with_out(type, Named<IntegerProducts<decltype(type)>>{}); });
  } else {
    with_product_type(op.x->dtype, [&](auto type) { with_out(type, Named<FloatProducts<decltype(type)>>{}); });
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
