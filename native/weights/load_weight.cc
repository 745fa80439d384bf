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

/// A row of the weight at a time becomes whole numbers. Where the file has the transpose, rows are its columns, and all
/// of it is in memory at once.
void load_quantized(const LoadWeight& op, uint8_t* out) {
  const int64_t size = static_cast<int64_t>(size_of(op.dtype));
  const int64_t k = op.out->shape[1], n = op.out->shape[0];
  const int64_t rows =
      op.transposed ? op.rows : std::max<int64_t>(1, kPieceElements / std::max<int64_t>(1, op.columns));
  const std::unique_ptr<float[]> raw(new float[rows * op.columns]), converted(new float[rows * op.columns]);
  const std::unique_ptr<float[]> column(new float[k]);
  std::memset(out, 0, op.out->storage->bytes);
  for (int64_t begin = 0; begin < op.rows; begin += rows) {
    const int64_t count = std::min(rows, op.rows - begin) * op.columns;
    op.file->read(raw.get(), static_cast<size_t>(count * size), op.offset + begin * op.columns * size);
    const float* const from = elements(op.dtype, raw.get(), count, converted.get());
    if (!op.transposed) {
      for (int64_t i = 0; i * op.columns < count; ++i) quantize_row(op.out->dtype, from + i * k, k, begin + i, out);
      continue;
    }
    for (int64_t row = 0; row < n; ++row) {
      for (int64_t i = 0; i < k; ++i) column[i] = from[i * op.columns + row];
      quantize_row(op.out->dtype, column.get(), k, row, out);
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
