#pragma once

#include "cuda/context.h"
#include "ops/op_list.h"

// The CUDA part of the package is a library of its own, beside the addon and opened on demand: a host needs a driver,
// and a host without one never opens it. All that crosses the border is this table. Statuses are cudaError_t, 0 for
// success. Tensors and ops are the addon's own structs: both are built from one source, which the version guards.

namespace heddle::cuda {

struct DeviceInfo {
  char name[256];
  size_t memory_bytes;
  int major;  // compute capability
  int minor;
  int multiprocessors;
};

struct Library {
  static constexpr int kVersion = 6;
  static constexpr const char* kEntry = "heddle_cuda_library";
  /// Null for another version.
  using Entry = const Library* (*)(int version);

  const char* (*describe_status)(int status);

  int (*count_devices)(int* count);
  int (*describe_device)(int device, DeviceInfo* info);
  /// The device of this thread's further calls.
  int (*use_device)(int device);

  int (*create_stream)(void** stream);
  int (*destroy_stream)(void* stream);
  /// Waits for what is queued. A failure that ends the device is told here, and by every call after it.
  int (*synchronize)(void* stream);
  /// Marks a place in the stream. `poll` tells whether it was passed; `wait` waits for it.
  int (*create_event)(void** event);
  int (*destroy_event)(void* event);
  int (*record)(void* event, void* stream);
  int (*poll)(void* event, bool* passed);
  int (*wait)(void* event);

  /// In stream order, from the device's pool.
  int (*allocate)(void** memory, size_t bytes, void* stream);
  int (*free)(void* memory, void* stream);
  /// Host memory that copies need not stage.
  int (*allocate_pinned)(void** memory, size_t bytes);
  int (*free_pinned)(void* memory);
  /// Any of the two may be the host's.
  int (*copy)(void* to, const void* from, size_t bytes, void* stream);
  int (*fill)(void* to, int byte, size_t bytes, void* stream);

  /// What is queued on the stream between the two becomes a graph, which can be launched again and again.
  int (*begin_capture)(void* stream);
  int (*end_capture)(void* stream, void** graph);
  int (*launch_graph)(void* graph, void* stream);
  int (*destroy_graph)(void* graph);

#define HEDDLE_DECLARE_ENTRY(Op) int (*run_##Op)(const heddle::Op* op, CudaContext* context);
  HEDDLE_OPS(HEDDLE_DECLARE_ENTRY)
#undef HEDDLE_DECLARE_ENTRY
};

}  // namespace heddle::cuda
