#pragma once

#include "cuda/device.h"

// What compute capability 9.0 (Hopper) adds to device.h, with the same two faces: barriers of shared memory that count
// bytes as well as arrivals, copies in bulk, and products of matrices by four warps together, which are all
// asynchronous. PTX ISA, 9.7.9.25 (cp.async.bulk), 9.7.13.15 (mbarrier) and 9.7.15 (wgmma).
//
// A kernel of this header has a body where HEDDLE_HOPPER is defined, and none elsewhere: machine code of sm_90a runs on
// 9.0 alone, so the host asks for the capability before it launches one (is_hopper).

#if defined(HEDDLE_SIMULATOR) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define HEDDLE_HOPPER
#endif

namespace heddle::cuda {

/// Threads that multiply together: four warps, the first of them a multiple of four.
constexpr int kWarpgroup = 128;

/// How a matrix of halves [rows or columns, 16 steps along k] lies in shared memory: with its steps side by side, or
/// its rows (of the right factor its columns).
enum class Major { kSteps, kRows };

/// A tensor of halves in global memory as copies of boxes see it: [z, y, x], with steps in elements from one y and one
/// z to the next, which are multiples of eight as `data` is of 16 bytes. A box has 64 of x, `lines` (at most 256) of y
/// and one of z.
struct Box {
  const void* data;
  int64_t x, y, z;
  int64_t y_step, z_step;
  int lines;
};

/// Of memory that products read: what swizzling repeats after.
constexpr int kSwizzleBytes = 1024;

}  // namespace heddle::cuda

#if defined(HEDDLE_SIMULATOR)

#include "simt/hopper_face.h"

#else

#include <cuda.h>

#include "cuda/wgmma.h"

namespace heddle::cuda {

/// See Box.
struct TensorMap {
  CUtensorMap map;
};

HEDDLE_DEVICE uint32_t shared_address(const void* p) { return static_cast<uint32_t>(__cvta_generic_to_shared(p)); }

/// An mbarrier. Its phases are counted from 0; one ends when as many threads have arrived as it was started with, and
/// all bytes that they expect are there.
struct alignas(8) Barrier {
  uint64_t bits;
};

HEDDLE_DEVICE void start_barrier(Barrier& barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(&barrier)), "r"(arrivals) : "memory");
}
/// By the thread that started barriers, before others meet it: then copies know them, too.
HEDDLE_DEVICE void fence_barriers() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }

HEDDLE_DEVICE void arrive(Barrier& barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&barrier)) : "memory");
}
/// The same, expecting `bytes` of copies in this phase.
HEDDLE_DEVICE void arrive_expecting(Barrier& barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(&barrier)), "r"(bytes)
               : "memory");
}
/// Waits until a phase of this parity has ended: the one under way or the one before. So parity 1 does not wait at a
/// barrier that has just been started.
HEDDLE_DEVICE void wait(Barrier& barrier, int parity) {
  asm volatile(
      "{\n"
      ".reg .pred done;\n"
      "again:\n"
      "mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@done bra ended;\n"
      "bra again;\n"
      "ended:\n"
      "}" ::"r"(shared_address(&barrier)),
      "r"(parity)
      : "memory");
}

/// Starts copying from global to shared memory; addresses and `bytes` are multiples of 16. The barrier gets the bytes.
HEDDLE_DEVICE void copy_bulk(void* to, const void* from, int bytes, Barrier& barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(&barrier))
               : "memory");
}
/// Starts copying the box at (x, y, z) of a tensor, whose lines lie as products read them; `to` is aligned to
/// kSwizzleBytes. Where it is outside of the tensor it is zero, which counts as bytes, too.
HEDDLE_DEVICE void copy_box(void* to, const TensorMap& tensor, int64_t x, int64_t y, int64_t z, Barrier& barrier) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], "
      "[%2];" ::"r"(shared_address(to)),
      "l"(&tensor.map), "r"(shared_address(&barrier)), "r"(static_cast<int>(x)), "r"(static_cast<int>(y)),
      "r"(static_cast<int>(z))
      : "memory");
}
/// What this thread has written to shared memory, products and copies in bulk see after the next barrier.
HEDDLE_DEVICE void fence_async() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }

/// A barrier of `threads` of the block, whole warps: `id` 1 … 15, all with the same number.
HEDDLE_DEVICE void sync_named(int id, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
}
/// The same without waiting for the others.
HEDDLE_DEVICE void arrive_named(int id, int threads) {
  asm volatile("bar.arrive %0, %1;" ::"r"(id), "r"(threads) : "memory");
}

/// Registers that a thread of this warpgroup has from here on: more than before, or fewer.
template <int Registers>
HEDDLE_DEVICE void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
}
template <int Registers>
HEDDLE_DEVICE void leave_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
}

/// Before the first product, and where other instructions have touched its sums or its a: then it sees what they did.
HEDDLE_DEVICE void fence_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
/// Ends a group of products.
HEDDLE_DEVICE void commit_products() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }

/// Keeps the compiler from touching these before it gets here.
template <int Tiles>
HEDDLE_DEVICE void hold(float (&sums)[Tiles][4]) {
  HEDDLE_UNROLL
  for (int j = 0; j < Tiles; ++j) {
    asm volatile("" : "+f"(sums[j][0]), "+f"(sums[j][1]), "+f"(sums[j][2]), "+f"(sums[j][3])::"memory");
  }
}
/// Waits until at most `Pending` groups, the latest, are under way. `sums` are those of the groups before, if anybody
/// is to touch them.
template <int Pending>
HEDDLE_DEVICE void wait_products() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(Pending) : "memory");
}
template <int Pending, int Tiles>
HEDDLE_DEVICE void wait_products(float (&sums)[Tiles][4]) {
  wait_products<Pending>();
  hold(sums);
}

/// sums [64, 8 · Tiles] += a [64, 16] · b [16, 8 · Tiles], of halves, by a warpgroup; `sums` are not read where not
/// `adds`. A warp has 16 rows, its lanes as in mma (device.h): sums[j] are those of columns 8 j … 8 j + 7. What it
/// reads and writes stays untouched until the wait for its group.
template <typename T, Major A, Major B, int Tiles>
HEDDLE_DEVICE void multiply_shared(float (&sums)[Tiles][4], uint64_t a, uint64_t b, bool adds) {
  constexpr bool kTransposedA = A == Major::kRows, kTransposedB = B == Major::kRows;
  Wgmma<8 * Tiles>::template shared<T, kTransposedA, kTransposedB>(sums, a, b, adds);
}
/// The same with `a` in registers, as mma has it.
template <typename T, Major B, int Tiles>
HEDDLE_DEVICE void multiply_registers(float (&sums)[Tiles][4], const uint32_t (&a)[4], uint64_t b, bool adds) {
  Wgmma<8 * Tiles>::template registers<T, B == Major::kRows>(sums, a, b, adds);
}

}  // namespace heddle::cuda

#endif

namespace heddle::cuda {

/// A matrix in shared memory for products (PTX ISA, 9.7.15.5.1): lines of 128 bytes, swizzled as `swizzled<8>` does, so
/// that eight lines, aligned to kSwizzleBytes, lie together. A line has one row's 64 steps, of which `first` names the
/// 16 that are meant, or 64 rows of one step.
///
///   kSteps  `stride` bytes from eight rows to the next eight; `leading` says nothing
///   kRows   `stride` bytes from eight steps to the next eight, `leading` from 64 rows to the next 64
HEDDLE_DEVICE uint64_t describe_lines(const void* first, int leading, int stride) {
  constexpr uint64_t kSwizzled128 = uint64_t{1} << 62;
  const auto field = [](uint32_t bytes) { return static_cast<uint64_t>(bytes >> 4 & 0x3fff); };
  return kSwizzled128 | field(stride) << 32 | field(leading) << 16 | field(shared_address(first));
}
/// The same matrix `bytes` on.
HEDDLE_DEVICE uint64_t advance(uint64_t description, int bytes) { return description + (bytes >> 4); }

/// One arrival for the warp, when all its lanes are here.
HEDDLE_DEVICE void arrive_together(Barrier& barrier) {
  sync_warp();
  if (lane_index() == 0) arrive(barrier);
}

/// A place in a ring of slots, and the parity of the phase that fills it. Who waits for the slot to be free waits for
/// the other parity: the first time it does not wait.
template <int Slots>
struct Turn {
  int slot = 0;
  int parity = 0;
  HEDDLE_DEVICE void go_on() {
    slot = slot == Slots - 1 ? 0 : slot + 1;
    parity ^= slot == 0 ? 1 : 0;
  }
};

/// Dynamic shared memory from where swizzling begins anew: a launch asks for kSwizzleBytes more than it needs.
HEDDLE_DEVICE char* swizzled_shared() {
  char* const first = reinterpret_cast<char*>(dynamic_shared());
  return first + (kSwizzleBytes - shared_address(first) % kSwizzleBytes) % kSwizzleBytes;
}

}  // namespace heddle::cuda
