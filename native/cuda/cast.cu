#include "cuda/lanes.h"
#include "cuda/strided.h"
#include "ops/elementwise.h"

namespace heddle::cuda {
namespace {

/// An element of any dtype: a whole number, or a float.
struct Value {
  bool is_whole;
  int32_t whole;
  float real;
};

HEDDLE_DEVICE Value read_value(DType dtype, const void* x, int64_t i) {
  switch (dtype) {
    case DType::kFloat32:
      return {false, 0, static_cast<const float*>(x)[i]};
    case DType::kFloat16:
      return {false, 0, widen(static_cast<const Float16*>(x)[i])};
    case DType::kBFloat16:
      return {false, 0, widen(static_cast<const BFloat16*>(x)[i])};
    case DType::kInt32:
      return {true, static_cast<const int32_t*>(x)[i], 0.0f};
    default:  // bool: quantized weights are not cast
      break;
  }
  return {true, static_cast<const uint8_t*>(x)[i], 0.0f};
}

/// As a float32 that rounds to a half as the value itself does: where a whole number has more bits than a float32
/// takes, the last bit kept tells whether any that are cut were set.
HEDDLE_DEVICE float for_half(const Value& value) {
  constexpr int32_t kExact = 1 << 24;
  const int32_t x = value.whole;
  if (!value.is_whole) return value.real;
  if (-kExact <= x && x <= kExact) return static_cast<float>(x);
  return static_cast<float>((x & ~0xFF) | ((x & 0xFF) != 0 ? 0x100 : 0));
}

HEDDLE_DEVICE int32_t cut(float x) {
  if (x != x) return 0;
  if (x >= 0x1p31f) return INT32_MAX;
  return x < -0x1p31f ? INT32_MIN : static_cast<int32_t>(x);
}

HEDDLE_DEVICE void write_value(DType dtype, void* out, int64_t i, const Value& value) {
  switch (dtype) {
    case DType::kFloat32:
      static_cast<float*>(out)[i] = value.is_whole ? static_cast<float>(value.whole) : value.real;
      return;
    case DType::kFloat16:
      static_cast<Float16*>(out)[i] = narrow<Float16>(for_half(value));
      return;
    case DType::kBFloat16:
      static_cast<BFloat16*>(out)[i] = narrow<BFloat16>(for_half(value));
      return;
    case DType::kInt32:
      static_cast<int32_t*>(out)[i] = value.is_whole ? value.whole : cut(value.real);
      return;
    default:
      static_cast<uint8_t*>(out)[i] = value.is_whole ? value.whole != 0 : value.real != 0.0f;
      return;
  }
}

/// Any dtype to any. All elements take the same branches: what they cost is small beside the offsets.
template <typename Index>
HEDDLE_KERNEL(kElementThreads)
cast_strided(Index count, Sizes sizes, Steps steps, DType from, DType to, const void* x, void* out) {
  const Steps all[] = {steps};
  for_each_offset<Index>(count, sizes, all, [&](Index i, const int64_t* offsets) {
    write_value(to, out, static_cast<int64_t>(i), read_value(from, x, offsets[0]));
  });
}

/// Dense floats, eight a thread and turn.
template <typename From, typename To>
HEDDLE_KERNEL(kElementThreads)
cast_dense(int64_t count, bool aligned, const From* x, To* out) {
  constexpr int kMany = kLanes<Float16>;
  for_each<int64_t>((count + kMany - 1) / kMany, [&](int64_t many) {
    const int64_t first = many * kMany;
    Lanes<kMany> lanes;
    HEDDLE_UNROLL
    for (int i = 0; i < kMany; i += kLanes<From>) {
      const auto some = load_lanes(x + first + i, count - first - i, aligned);
      HEDDLE_UNROLL
      for (int j = 0; j < kLanes<From>; ++j) lanes.at[i + j] = some.at[j];
    }
    HEDDLE_UNROLL
    for (int i = 0; i < kMany; i += kLanes<To>) {
      LanesOf<To> some;
      HEDDLE_UNROLL
      for (int j = 0; j < kLanes<To>; ++j) some.at[j] = lanes.at[i + j];
      store_lanes(out + first + i, some, count - first - i, aligned);
    }
  });
}

}  // namespace

Status run(const Cast& op, CudaContext& context) {
  const DType from = op.x->dtype, to = op.out->dtype;
  const Shape& shape = op.out->shape;
  const int64_t count = shape.numel();
  if (is_float(from) && is_float(to) && op.x->is_contiguous()) {
    return with_float_type(from, [&](auto x_type) {
      return with_float_type(to, [&](auto out_type) {
        const auto* x = op.x->data<decltype(x_type)>();
        auto* out = op.out->data<decltype(out_type)>();
        return launch(cast_dense<decltype(x_type), decltype(out_type)>, grid_for(ceil_div(count, kLanes<Float16>)),
                      context, count, is_aligned(x) && is_aligned(out), x, out);
      });
    });
  }
  const auto first_byte = [](const Tensor& x) {
    return static_cast<char*>(x.storage->data) + x.offset * static_cast<int64_t>(size_of(x.dtype));
  };
  return with_index(count, [&](auto index) {
    return launch(cast_strided<decltype(index)>, grid_for(count), context, index, sizes_of(shape),
                  steps_of(*op.x, shape), from, to, first_byte(*op.x), first_byte(*op.out));
  });
}

}  // namespace heddle::cuda
