#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

// What kernels are written in: the one header that knows CUDA's intrinsics and PTX. It has two faces with the same
// names: nvcc's below, and the simulator's, which runs a block's threads as fibers on the host.
//
//   HEDDLE_KERNEL(threads)      before a kernel's name: at most that many threads a block
//   HEDDLE_PARAMETER            before a parameter of a kernel that is a large struct: it is read where it lies
//   HEDDLE_DEVICE               before a function of the device, inlined
//   HEDDLE_DEVICE_CALL          before one that is called: long, used in several places, and not in an inner loop
//   HEDDLE_SHARED(type, name)   memory of the block, 16-byte aligned, uninitialised
//   HEDDLE_UNROLL               before a loop; so is HEDDLE_NO_UNROLL
//
// Blocks are one-dimensional and a multiple of 32 threads. Every lane of a warp takes part in what a warp does
// together, and every thread of a block in its barriers.

#if defined(HEDDLE_SIMULATOR)

#include "simt/device_face.h"

#else

#include <cuda_runtime.h>

// One block a multiprocessor will do: without the 1, ptxas spills registers to make two fit.
#define HEDDLE_KERNEL(threads) __global__ __launch_bounds__(threads, 1) void
#define HEDDLE_DEVICE __device__ __forceinline__
#define HEDDLE_DEVICE_CALL static __device__ __noinline__
#define HEDDLE_PARAMETER const __grid_constant__
#define HEDDLE_SHARED(type, name) __shared__ __align__(16) type name
#define HEDDLE_UNROLL _Pragma("unroll")
#define HEDDLE_NO_UNROLL _Pragma("unroll 1")

namespace heddle::cuda {

HEDDLE_DEVICE int thread_index() { return static_cast<int>(threadIdx.x); }
HEDDLE_DEVICE int num_threads() { return static_cast<int>(blockDim.x); }
HEDDLE_DEVICE int64_t block_x() { return blockIdx.x; }
HEDDLE_DEVICE int64_t block_y() { return blockIdx.y; }
HEDDLE_DEVICE int64_t num_blocks_x() { return gridDim.x; }

/// The block's dynamic shared memory, as much as the launch asked for.
HEDDLE_DEVICE float* dynamic_shared() {
  extern __shared__ float4 heddle_dynamic_shared[];
  return reinterpret_cast<float*>(heddle_dynamic_shared);
}

HEDDLE_DEVICE void sync_block() { __syncthreads(); }
HEDDLE_DEVICE void sync_warp() { __syncwarp(); }
/// A barrier that tells whether `value` is true for any thread of the block.
HEDDLE_DEVICE bool any_of_block(bool value) { return __syncthreads_or(value); }
/// The value of the lane whose number differs by `mask`, bit by bit.
template <typename T>
HEDDLE_DEVICE T shuffle_xor(T value, int mask) {
  return __shfl_xor_sync(0xffffffffu, value, mask);
}

/// Bit i: the value of lane i.
HEDDLE_DEVICE uint32_t ballot(bool value) { return __ballot_sync(0xffffffffu, value); }

/// Starts copying `Bytes` from global to shared memory, both aligned to them; zeros instead where not `wanted`.
template <int Bytes>
HEDDLE_DEVICE void copy_async(void* to, const void* from, bool wanted) {
  static_assert(Bytes == 4 || Bytes == 16);
  const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int count = wanted ? Bytes : 0;
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(count) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(shared), "l"(from), "r"(count) : "memory");
  }
}
/// Ends a group of this thread's copies.
HEDDLE_DEVICE void commit_copies() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/// Waits until at most `Pending` of this thread's groups, the latest, are under way. Other threads see the copies
/// after a barrier.
template <int Pending>
HEDDLE_DEVICE void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Pending) : "memory");
}

HEDDLE_DEVICE void atomic_min(unsigned long long* at, unsigned long long value) { atomicMin(at, value); }
HEDDLE_DEVICE void atomic_add(unsigned long long* at, unsigned long long value) { atomicAdd(at, value); }

HEDDLE_DEVICE uint32_t bits_of(float value) { return __float_as_uint(value); }

}  // namespace heddle::cuda

#endif

namespace heddle::cuda {

constexpr int kWarp = 32;

HEDDLE_DEVICE int lane_index() { return thread_index() % kWarp; }
HEDDLE_DEVICE int warp_index() { return thread_index() / kWarp; }
HEDDLE_DEVICE int num_warps() { return num_threads() / kWarp; }

constexpr float kInfinity = __builtin_inff();

/// Whether p may be read 16 bytes at a time.
inline bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

/// Four floats, the first `count` of them read: in one load if `whole` says that p is aligned. Which elements a thread
/// takes together, and so the order of its sums, does not depend on the alignment.
HEDDLE_DEVICE float4 load_four(const float* p, int64_t count, bool whole) {
  if (whole && count >= 4) return *reinterpret_cast<const float4*>(p);
  return {count > 0 ? p[0] : 0.0f, count > 1 ? p[1] : 0.0f, count > 2 ? p[2] : 0.0f, count > 3 ? p[3] : 0.0f};
}

HEDDLE_DEVICE void store_four(float* p, float4 v, int64_t count, bool whole) {
  if (whole && count >= 4) {
    *reinterpret_cast<float4*>(p) = v;
    return;
  }
  if (count > 0) p[0] = v.x;
  if (count > 1) p[1] = v.y;
  if (count > 2) p[2] = v.z;
  if (count > 3) p[3] = v.w;
}

/// Applies f to each of the four, or to those of two.
template <typename F>
HEDDLE_DEVICE float4 map_four(float4 a, const F& f) {
  return {f(a.x), f(a.y), f(a.z), f(a.w)};
}
template <typename F>
HEDDLE_DEVICE float4 map_four(float4 a, float4 b, const F& f) {
  return {f(a.x, b.x), f(a.y, b.y), f(a.z, b.z), f(a.w, b.w)};
}

}  // namespace heddle::cuda
