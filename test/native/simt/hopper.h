#pragma once

#include <cstddef>
#include <cstdint>

#include "simt/simulator.h"

namespace heddle::simt {

// What native/cuda/hopper.h asks of the simulator. It finds more than a GPU would tell:
//
// - A copy in bulk lands at any time after it was started, also only when nobody can go on without it; until then its
//   target is NaN, and its source is read then.
// - A barrier that was not started, or without a fence for copies; a phase that a thread waits for a second time; more
//   arrivals than it was started with: all end the process with a message. So does a deadlock, which tells what each
//   barrier lacks: bytes expected and not copied, or copied and not expected.
// - A product reads shared memory at the wait that covers it, and looks at it when it is issued, too: what changed in
//   between was not there yet, or given away too early. Until the wait its sums are NaN. Sums and a in registers that
//   somebody touched in between, warps of a warpgroup with different products, a missing fence before a product and
//   groups that nobody waits for end the process.
// - What threads write to shared memory, products may read only after a barrier (of the block, named, or of a phase) at
// which every
//   thread that arrives has called fence_async since it arrived last. A GPU asks this only of those that wrote.
//
// Layouts of descriptors are those of the PTX ISA and of the comments in CUTLASS (mma_sm90_desc.hpp,
// mma_traits_sm90_gmma.hpp). No Hopper GPU was at hand. Not confirmed on one:
//
// - that swizzling goes by bits of the shared address, so that 16 steps further is 32 bytes further within lines
// - the meaning of leading and stride offsets with Major::kRows (N = 64: `leading` is not used)
// - that one 16-step link of sums is as good as added one by one in float32: the order within, and how it is rounded,
//   are the hardware's own
// - that a box copied with 128-byte swizzling lies as products with it read it, and that what is outside counts as
// bytes
// - the limits of a barrier's bytes (2^20 - 1), which nothing here comes near

void start_barrier(void* barrier, int arrivals);
void fence_barriers();
/// Expecting as many bytes.
void arrive(void* barrier, int bytes);
void wait_phase(void* barrier, int parity, Site site);
void copy_bulk(void* to, const void* from, int bytes, void* barrier);
/// A tensor of halves, and which box of it: see Box in native/cuda/hopper.h.
struct BoxSource {
  const void* data;
  int64_t sizes[3], steps[3];
  int lines;
};
struct BoxPlace {
  int64_t at[3];
};
void copy_box(void* to, const BoxSource& source, const BoxPlace& place, void* barrier);
void fence_async();
void meet_named(int id, int threads, bool waits, Site site);
void change_registers(int count, Site site);

/// Where a pointer into dynamic shared memory is, as kernels see it. Swizzling begins somewhere else.
uint32_t shared_address(const void* p);

/// One wgmma of a thread: sums of `columns` / 2 floats, a in shared memory or four registers.
struct Factors {
  int columns;
  bool is_float16;
  bool adds;
  bool rows_of_a, rows_of_b;    // Major::kRows
  const uint32_t* a_registers;  // or null
  uint64_t a, b;
};
void multiply(float* sums, const Factors& factors, Site site);
void fence_products(Site site);
void commit_products(Site site);
void wait_products(size_t pending, Site site);

// ---- Between the simulator's files

/// A block starts; it has ended.
void begin_hopper();
void end_hopper();
/// Lands one of the copies under way, if there is one.
bool land_copy(uint32_t choice);
/// All threads of the block meet.
void show_writes();
/// On stderr, what barriers lack.
void describe_barriers();

/// What products see of dynamic shared memory; ends the process where threads have written something else since.
const char* async_view(uint32_t address, size_t bytes);
void begin_products();
void end_products();

}  // namespace heddle::simt
