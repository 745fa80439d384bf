#include "weights/load_weight.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <type_traits>

#include "core/quantized.h"
#include "ops/linear.h"
#include "weights/shared_weight.h"

namespace heddle {
namespace {

constexpr int64_t kPieceElements = 256 * 1024;

/// `count` elements as Ts: those of `raw` themselves, or converted into `converted`.
template <typename T>
const T* elements(DType dtype, const void* raw, int64_t count, T* converted) {
  return with_float_type(dtype, [&](auto type) -> const T* {
    using From = decltype(type);
    const From* from = static_cast<const From*>(raw);
    if constexpr (std::is_same_v<From, T>) {
      return from;
    } else {
      std::transform(from, from + count, converted, [](From value) { return from_float<T>(to_float(value)); });
      return converted;
    }
  });
}

/// Puts `count` elements of a row of the file, from `column` on, in their place.
template <typename T>
void scatter(const LoadWeight& op, int64_t row, int64_t column, const T* from, int64_t count, T* out) {
  const bool packed = op.out->layout == Layout::kPanels;
  if (!op.transposed) {  // the row is one output n
    if (!packed) {
      std::copy_n(from, count, out + row * op.columns + column);
      return;
    }
    T* lane = out + (row / kPanelWidth * op.columns + column) * kPanelWidth + row % kPanelWidth;
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

/// Rows of the file, `count` columns of each from `column` on, as floats.
const float* read_floats(const LoadWeight& op, int64_t row, int64_t rows, int64_t column, int64_t count, float* raw,
                         float* converted) {
  const int64_t size = static_cast<int64_t>(size_of(op.dtype));
  auto* const bytes = reinterpret_cast<char*>(raw);
  const bool whole = count == op.columns;  // then they lie together
  for (int64_t i = 0; i < (whole ? 1 : rows); ++i) {
    op.file->read(bytes + i * count * size, static_cast<size_t>((whole ? rows : 1) * count * size),
                  op.offset + ((row + i) * op.columns + column) * size);
  }
  return elements(op.dtype, raw, rows * count, converted);
}

/// Rows of the weight become whole numbers as they are read. Where the file has the transpose they are its columns,
/// some panels of them at a time.
void load_quantized(const LoadWeight& op, uint8_t* out) {
  const int64_t k = op.out->shape[1], n = op.out->shape[0];
  std::memset(out, 0, op.out->storage->bytes);
  int64_t step = std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, k));
  if (op.transposed) step = (step + kPanelWidth - 1) / kPanelWidth * kPanelWidth;
  step = std::min(step, n);
  const std::unique_ptr<float[]> raw(new float[step * k]), converted(new float[step * k]), row(new float[k]);
  for (int64_t begin = 0; begin < n; begin += step) {
    const int64_t count = std::min(step, n - begin);
    if (!op.transposed) {
      const float* const from = read_floats(op, begin, count, 0, k, raw.get(), converted.get());
      for (int64_t i = 0; i < count; ++i) quantize_row(op.out->dtype, from + i * k, k, begin + i, out);
      continue;
    }
    const float* const from = read_floats(op, 0, k, begin, count, raw.get(), converted.get());
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t j = 0; j < k; ++j) row[j] = from[j * count + i];
      quantize_row(op.out->dtype, row.get(), k, begin + i, out);
    }
  }
}

/// All that the result depends on.
std::string key(const LoadWeight& op) {
  return concat(op.file->identity(), " ", op.offset, " ", op.rows, "x", op.columns, " ", name_of(op.dtype), " ",
                op.transposed, " ", name_of(op.out->dtype), " ", static_cast<int>(op.out->layout));
}

/// The whole weight, into host memory, as floats.
template <typename T>
void load_floats(const LoadWeight& op, T* out) {
  const int64_t count = op.rows * op.columns, size = static_cast<int64_t>(size_of(op.dtype));
  if (op.out->layout == Layout::kPanels) std::memset(static_cast<void*>(out), 0, op.out->storage->bytes);
  const std::unique_ptr<float[]> raw(new float[kPieceElements]);
  const std::unique_ptr<T[]> converted(new T[kPieceElements]);
  for (int64_t begin = 0; begin < count; begin += kPieceElements) {
    const int64_t end = std::min(count, begin + kPieceElements);
    op.file->read(raw.get(), static_cast<size_t>((end - begin) * size), op.offset + begin * size);
    const T* from = elements(op.dtype, raw.get(), end - begin, converted.get());
    for (int64_t i = begin; i < end;) {
      const int64_t column = i % op.columns, run = std::min(end - i, op.columns - column);
      scatter(op, i / op.columns, column, from + (i - begin), run, out);
      i += run;
    }
  }
}

/// The whole weight, into host memory.
void load(const LoadWeight& op, void* out) {
  if (is_quantized(op.out->dtype)) return load_quantized(op, static_cast<uint8_t*>(out));
  with_float_type(op.out->dtype, [&](auto type) { load_floats(op, static_cast<decltype(type)*>(out)); });
}

/// Null where there is no memory.
std::shared_ptr<SharedWeight> find_weight(const LoadWeight& op) {
  try {
    return shared_weight(key(op), op.out->storage->bytes);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}

}  // namespace

DType file_dtype_of(const std::string& dtype, const std::string& tensor) {
  if (dtype == "F32") return DType::kFloat32;
  if (dtype == "F16") return DType::kFloat16;
  if (dtype == "BF16") return DType::kBFloat16;
  throw_type_error("[load_weight] ", tensor, " has dtype ", dtype, ": weights are read from F32, F16 and BF16");
}

void LoadWeight::run(Stream& stream) const {
  Storage& storage = *out->storage;
  if (!stream.on_host()) {
    stream.attempt(*this, [&] {
      const std::unique_ptr<std::byte[]> staged(new std::byte[storage.bytes]);
      load(*this, staged.get());
      stream.copy_in(storage.data, staged.get(), storage.bytes);
    });
    return;
  }
  const auto weight = stream.stopping() ? nullptr : find_weight(*this);
  std::unique_lock<std::mutex> lock;
  if (weight) {  // else the attempt finds memory of its own, or says that there is none
    lock = std::unique_lock<std::mutex>(weight->mutex);
    storage.data = weight->data;
    storage.shared = weight;
  }
  stream.attempt(*this, [&] {
    if (!weight || !weight->loaded) load(*this, storage.data);
    if (weight) weight->loaded = true;
  });
}

Tensor* load_dense(Runtime& runtime, Stream& stream, LoadWeight op, const Shape& shape, DType dtype) {
  op.out = runtime.make(stream, dtype, shape);
  runtime.submit(op);
  return op.out;
}

Tensor* load_panels(Runtime& runtime, Stream& stream, LoadWeight op, DType dtype) {
  const Shape shape = op.transposed ? Shape{op.columns, op.rows} : Shape{op.rows, op.columns};
  op.out = runtime.make(stream, dtype, shape, Layout::kPanels);
  if (is_quantized(dtype)) check_quantized(LoadWeight::kName, op.out);
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
