#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/fault.h"

// What both sides of the CUDA library know; nothing of CUDA itself.

namespace heddle::cuda {

/// What a kernel found wrong: see Fault.
struct Failure {
  Fault fault;
  int64_t index;
  int32_t value;
};

/// A failure is one number, so that the smallest wins whichever thread comes first: 3 bits of fault, 29 of index, 32
/// of value.
constexpr unsigned long long kNoFailure = ~0ull;
constexpr int64_t kMaxFailureIndex = (int64_t{1} << 29) - 1;

inline Failure failure_of(unsigned long long record) {
  return {static_cast<Fault>(record >> 61), static_cast<int64_t>(record >> 32) & kMaxFailureIndex,
          static_cast<int32_t>(static_cast<uint32_t>(record))};
}

/// What the host side of a kernel is given beside its op.
struct CudaContext {
  void* stream;  // cudaStream_t
  /// Device memory of the op's own: kNoFailure, until a kernel finds the op's data wrong.
  unsigned long long* failure;
  /// Scratch on the device, free again when the stream has passed this op. Null where there is no memory.
  void* (*allocate)(void* owner, size_t bytes);
  void* owner;
  int multiprocessors;
  int compute_capability;  // 10 · major + minor
};

/// Whether kernels of hopper.h can run: machine code of sm_90a is for 9.0 alone.
inline bool is_hopper(const CudaContext& context) { return context.compute_capability == 90; }

}  // namespace heddle::cuda
