#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "core/runtime.h"
#include "weights/file.h"

namespace heddle {

/// Of a safetensors file: "F32", "F16" or "BF16". Throws TypeError naming the tensor if it has another.
DType file_dtype_of(const std::string& dtype, const std::string& tensor);

/// Reads a weight from a file, in pieces, straight into its place: of a device that is not the host, by way of host
/// memory.
///
/// The file holds [rows, columns] elements, row-major, at `offset`; if `transposed` they are the weight's transpose
/// (as in GPT-2's files). `out` is dense, or a matrix in panels, of any float dtype: elements are rounded to it, and
/// copied bit by bit where the file has it already. A matrix in panels may also be quantized as it is read.
struct LoadWeight {
  static constexpr const char* kName = "load_weight";
  const File* file;
  uint64_t offset;
  DType dtype;  // of the file
  bool transposed;
  int64_t rows;
  int64_t columns;
  Tensor* out = nullptr;

  std::array<const Tensor*, 0> reads() const { return {}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
  void run(Stream& stream) const;
};

/// A dense tensor of `shape` and a float dtype, on the device of `stream`.
Tensor* load_dense(Runtime& runtime, Stream& stream, LoadWeight op, const Shape& shape, DType dtype);
/// A weight [N, K] in panels for linear.
Tensor* load_panels(Runtime& runtime, Stream& stream, LoadWeight op, DType dtype);

}  // namespace heddle
