#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "core/half.h"

// What kernels are written in: the one header that knows CUDA's intrinsics and PTX. It has two faces with the same
// names: nvcc's below, and the simulator's, which runs a block's threads as fibers on the host.
//
//   HEDDLE_KERNEL(threads)      before a kernel's name: at most that many threads a block
//   HEDDLE_KERNEL_BESIDE(threads, blocks)  the same, with registers for that many blocks a multiprocessor
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

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

// One block a multiprocessor will do: without the 1, ptxas spills registers to make two fit.
#define HEDDLE_KERNEL(threads) __global__ __launch_bounds__(threads, 1) void
#define HEDDLE_KERNEL_BESIDE(threads, blocks) __global__ __launch_bounds__(threads, blocks) void
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

HEDDLE_DEVICE int count_bits(uint32_t bits) { return __popc(bits); }

/// Starts copying `Bytes` from global to shared memory, both aligned to them; zeros instead where not `wanted`.
template <int Bytes>
HEDDLE_DEVICE void copy_async(void* to, const void* from, bool wanted) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  const auto shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int count = wanted ? Bytes : 0;
  if constexpr (Bytes == 16) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from), "r"(count) : "memory");
  } else {
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(shared), "l"(from), "n"(Bytes), "r"(count)
                 : "memory");
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
HEDDLE_DEVICE void atomic_max(uint32_t* at, uint32_t value) { atomicMax(at, value); }
/// These return what was there.
HEDDLE_DEVICE uint32_t atomic_add(uint32_t* at, uint32_t value) { return atomicAdd(at, value); }
HEDDLE_DEVICE uint32_t atomic_exchange(uint32_t* at, uint32_t value) { return atomicExch(at, value); }

HEDDLE_DEVICE uint32_t bits_of(float value) { return __float_as_uint(value); }
HEDDLE_DEVICE float float_from(uint32_t bits) { return __uint_as_float(bits); }

HEDDLE_DEVICE float widen(float value) { return value; }
HEDDLE_DEVICE float widen(int8_t value) { return static_cast<float>(value); }
HEDDLE_DEVICE float widen(Float16 value) { return __half2float(__ushort_as_half(value.bits)); }
HEDDLE_DEVICE float widen(BFloat16 value) { return __uint_as_float(uint32_t{value.bits} << 16); }
/// Rounds to the nearest T, of two to the even one.
template <typename T>
HEDDLE_DEVICE T narrow(float value) {
  if constexpr (std::is_same_v<T, Float16>) {
    return {__half_as_ushort(__float2half_rn(value))};
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return {__bfloat16_as_ushort(__float2bfloat16_rn(value))};
  } else {
    return value;
  }
}
/// Two halves in one register, the first in its lower bits.
template <typename T>
HEDDLE_DEVICE uint32_t narrow_two(float first, float second) {
  uint32_t both;
  if constexpr (std::is_same_v<T, Float16>) {
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  } else {
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
  }
  return both;
}

/// 2^x, with an error of two units in the last place; denormal results are 0.
HEDDLE_DEVICE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// x, which the compiler does not know before it gets here: what is made of it is made anew at each turn of a loop, and
/// takes no register in between.
HEDDLE_DEVICE int fresh(int x) {
  asm volatile("" : "+r"(x));
  return x;
}

/// What is read 16 bytes at a time.
struct alignas(16) Words {
  uint32_t at[4];
};
HEDDLE_DEVICE Words read_words(const void* p) {
  const uint4 v = *static_cast<const uint4*>(p);
  return {{v.x, v.y, v.z, v.w}};
}
/// The same of what is read once: it does not push what is read again out of the cache.
HEDDLE_DEVICE Words read_words_once(const void* p) {
  Words w;
  asm volatile("ld.global.L1::no_allocate.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(w.at[0]), "=r"(w.at[1]), "=r"(w.at[2]), "=r"(w.at[3])
               : "l"(p));
  return w;
}
HEDDLE_DEVICE void write_words(void* p, const Words& w) {
  *static_cast<uint4*>(p) = {w.at[0], w.at[1], w.at[2], w.at[3]};
}

/// Four 8 × 8 matrices of halves in shared memory. Lane 8 i + r names row r of matrix i, 16 bytes, aligned to them; of
/// each matrix lane l gets elements 2 (l % 4) and 2 (l % 4) + 1 of row l / 4.
HEDDLE_DEVICE void ldmatrix(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}
/// The same of the transposed matrices: rows 2 (l % 4) and 2 (l % 4) + 1 of column l / 4.
HEDDLE_DEVICE void ldmatrix_transposed(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
}

/// sums [16, 8] += a [16, 16] · b [16, 8], a and b of halves. With g = lane / 4 and t = 2 (lane % 4) a lane has
///
///   sums  (g, t), (g, t + 1), (g + 8, t), (g + 8, t + 1)
///   a     (g, t …), (g + 8, t …), (g, t + 8 …), (g + 8, t + 8 …), two columns a register
///   b     (t …, g), (t + 8 …, g), two rows a register
template <typename T>
HEDDLE_DEVICE void mma(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  if constexpr (std::is_same_v<T, Float16>) {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  } else {
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
  }
}

/// sums [16, 8] += a [16, 32] · b [32, 8] of int8 in int32 (PTX ISA, "Matrix Fragments for mma.m16n8k32"). Sums lie as
/// above; with g = lane / 4 and t = 4 (lane % 4) a lane has
///
///   a     (g, t …), (g + 8, t …), (g, t + 16 …), (g + 8, t + 16 …), four columns a register
///   b     (t …, g), (t + 16 …, g), four rows a register
HEDDLE_DEVICE void mma_bytes(int32_t (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+r"(sums[0]), "+r"(sums[1]), "+r"(sums[2]), "+r"(sums[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace heddle::cuda

#endif

namespace heddle::cuda {

constexpr int kWarp = 32;

HEDDLE_DEVICE int lane_index() { return thread_index() & (kWarp - 1); }
HEDDLE_DEVICE int warp_index() { return thread_index() >> 5; }
HEDDLE_DEVICE int num_warps() { return num_threads() / kWarp; }

constexpr float kInfinity = __builtin_inff();

/// Whether p may be read 16 bytes at a time.
inline bool is_aligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 16 == 0; }

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
