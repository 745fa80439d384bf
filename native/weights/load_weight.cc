#include "weights/load_weight.h"

#include <algorithm>
#include <cstring>

#include "ops/linear.h"

namespace heddle {
namespace {

constexpr int64_t kPieceElements = 256 * 1024;

float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

float float_of_half(uint16_t half) {
  const uint32_t sign = (half & 0x8000u) << 16, magnitude = half & 0x7FFFu;
  if (magnitude >= 0x7C00) return float_of_bits(sign | 0x7F800000u | (magnitude & 0x3FFu) << 13);  // ∞ and NaN
  if (magnitude < 0x0400) {  // zero and denormals: units of 2^-24
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return sign ? -value : value;
  }
  return float_of_bits(sign | ((magnitude << 13) + (112u << 23)));
}

void widen(FileDType dtype, const void* raw, int64_t count, float* out) {
  const uint16_t* halves = static_cast<const uint16_t*>(raw);
  switch (dtype) {
    case FileDType::kF32:
      std::memcpy(out, raw, static_cast<size_t>(count) * sizeof(float));
      return;
    case FileDType::kF16:
      std::transform(halves, halves + count, out, float_of_half);
      return;
    case FileDType::kBF16:
      std::transform(halves, halves + count, out, [](uint16_t half) { return float_of_bits(uint32_t{half} << 16); });
      return;
  }
}

/// Puts `count` elements of a row of the file, from `column` on, in their place.
void scatter(const LoadWeight& op, int64_t row, int64_t column, const float* from, int64_t count, float* out) {
  const bool packed = op.out->layout == Layout::kPanels;
  if (!op.transposed) {  // the row is one output n
    if (!packed) {
      std::copy_n(from, count, out + row * op.columns + column);
      return;
    }
    float* lane = out + (row / kPanelWidth * op.columns + column) * kPanelWidth + row % kPanelWidth;
    for (int64_t i = 0; i < count; ++i) lane[i * kPanelWidth] = from[i];
    return;
  }
  if (!packed) {  // the row is one input k
    for (int64_t i = 0; i < count; ++i) out[(column + i) * op.rows + row] = from[i];
    return;
  }
  for (int64_t i = 0; i < count;) {  // a run of lanes a panel
    const int64_t n = column + i, lane = n % kPanelWidth;
    const int64_t run = std::min(count - i, kPanelWidth - lane);
    std::copy_n(from + i, run, out + (n / kPanelWidth * op.rows + row) * kPanelWidth + lane);
    i += run;
  }
}

/// The whole weight, into host memory.
void load(const LoadWeight& op, float* out) {
  const int64_t count = op.rows * op.columns;
  const int64_t bytes = op.dtype == FileDType::kF32 ? 4 : 2;
  if (op.out->layout == Layout::kPanels) std::memset(out, 0, op.out->storage->bytes);
  const auto raw = std::make_unique<float[]>(kPieceElements), floats = std::make_unique<float[]>(kPieceElements);
  for (int64_t begin = 0; begin < count; begin += kPieceElements) {
    const int64_t end = std::min(count, begin + kPieceElements);
    op.file->read(raw.get(), static_cast<size_t>((end - begin) * bytes), op.offset + begin * bytes);
    widen(op.dtype, raw.get(), end - begin, floats.get());
    for (int64_t i = begin; i < end;) {
      const int64_t column = i % op.columns, run = std::min(end - i, op.columns - column);
      scatter(op, i / op.columns, column, floats.get() + (i - begin), run, out);
      i += run;
    }
  }
}

}  // namespace

FileDType file_dtype_of(const std::string& dtype, const std::string& tensor) {
  if (dtype == "F32") return FileDType::kF32;
  if (dtype == "F16") return FileDType::kF16;
  if (dtype == "BF16") return FileDType::kBF16;
  throw_type_error("[load_weight] ", tensor, " has dtype ", dtype, ": weights are read from F32, F16 and BF16");
}

void LoadWeight::run(Stream& stream) const {
  stream.attempt(*this, [&] {
    const Storage& storage = *out->storage;
    if (stream.on_host()) return load(*this, static_cast<float*>(storage.data));
    const auto staged = std::make_unique<float[]>((storage.bytes + sizeof(float) - 1) / sizeof(float));
    load(*this, staged.get());
    stream.copy_in(storage.data, staged.get(), storage.bytes);
  });
}

Tensor* load_dense(Runtime& runtime, Stream& stream, LoadWeight op, const Shape& shape) {
  op.out = runtime.make(stream, DType::kFloat32, shape);
  runtime.submit(op);
  return op.out;
}

Tensor* load_panels(Runtime& runtime, Stream& stream, LoadWeight op) {
  const Shape shape = op.transposed ? Shape{op.columns, op.rows} : Shape{op.rows, op.columns};
  op.out = runtime.make(stream, DType::kFloat32, shape, Layout::kPanels);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
