#pragma once

#include <memory>

#include "core/device.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/shape.h"

namespace heddle {

/// Columns of a panel.
constexpr int64_t kPanelWidth = 64;

/// How the elements of a tensor lie in its storage.
enum class Layout : uint8_t {
  kStrided,  // by shape, strides and offset
  /// A matrix [N, K] as ceil(N / 64) panels of [K][64], the last one filled up with zeros: lane n of panel p is row
  /// 64 p + n. Every kernel of `linear` reads this one layout, in whole vectors.
  kPanels,
};

/// Of a dense tensor, or a matrix in panels.
size_t bytes_of(DType dtype, const Shape& shape, Layout layout);

class Stream;

/// Memory shared by a tensor and its views.
///
/// Two threads meet here, with no lock and no atomic: counts belong to the JavaScript thread, memory and poison to
/// the stream, and the stream's queue orders the two (whoever drops the last count queues the release).
struct Storage {
  // JavaScript thread
  Stream* stream = nullptr;  // of the device that has the memory
  size_t bytes = 0;
  int tensors = 0;        // tensors that view this storage
  int handles = 0;        // those of them that JavaScript can still name
  int64_t recording = 0;  // made during this recording (0: none): the program takes and gives back the memory
  // Stream
  void* data = nullptr;                 // taken when the first op that writes it runs
  std::shared_ptr<void> shared;         // who else has this memory: then it is not the stream's allocator's
  std::shared_ptr<const Error> poison;  // why there is no value here
};

/// A typed, strided view of a storage. Immutable once made.
struct Tensor {
  Storage* storage = nullptr;
  DType dtype = DType::kFloat32;
  Layout layout = Layout::kStrided;
  Shape shape;
  Shape strides;       // in elements
  int64_t offset = 0;  // in elements
  int owners = 0;      // JavaScript thread: the handle, and each program that names it

  int64_t numel() const { return shape.numel(); }
  /// Dense and row-major.
  bool is_contiguous() const;

  /// First element. Valid on the stream only, once the storage has memory.
  template <typename T>
  T* data() const {
    return static_cast<T*>(storage->data) + offset;
  }
};

}  // namespace heddle
