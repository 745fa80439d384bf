#pragma once

#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/runtime.h"
#include "weights/file.h"

namespace heddle::stress {

[[noreturn]] void fail(const std::string& what);

/// The bytes of a tensor; none if it has no value.
using Value = std::optional<std::vector<std::byte>>;

/// What one isolate works with: a runtime, and numbers that a seed decides.
struct Life {
  Runtime& runtime;
  std::mt19937& random;
  const File& weights;  // 96 × 64 float32

  /// In [0, count).
  int pick(int count) { return static_cast<int>(random() % static_cast<uint32_t>(count)); }
  bool chance() { return pick(2) == 0; }
  DType float_dtype() { return static_cast<DType>(pick(3)); }

  /// In [-1, 1).
  Tensor* floats(const Shape& shape, DType dtype = DType::kFloat32);
  /// In [0, limit).
  Tensor* ints(const Shape& shape, int limit);
  Tensor* ints(const std::vector<int32_t>& values);
  Tensor* bools(const Shape& shape);
  /// Queries, keys or values [B, H, T, D] with strides of their own: dense, or with heads inside.
  Tensor* heads(const Shape& shape, DType dtype);

  /// Waits until what is queued has run.
  void drain();
  /// Of strided tensors, in the order of the stream.
  std::vector<Value> values(const std::vector<const Tensor*>& tensors);
};

/// Some ops on random data. What it returns depends on the random numbers alone.
struct Computation {
  const char* name;
  std::vector<const Tensor*> (*run)(Life& life);
};
extern const std::vector<Computation> kComputations;

/// Something that a stream does besides: it fails, loads, loops, is replayed.
using Incident = void (*)(Life& life);
extern const std::vector<Incident> kIncidents;

}  // namespace heddle::stress
