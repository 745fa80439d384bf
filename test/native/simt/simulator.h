#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/half.h"

namespace heddle::simt {

/// Runs kernels on the host: the threads of a block are fibers, blocks run one after another. It is there to find
/// mistakes that a GPU may hide, not to be fast:
///
/// - Warps run in an order drawn from a seed, sometimes evenly, sometimes one far ahead; so do the lanes of a warp
///   between two points where they meet.
/// - Lanes of a warp that wait in different operations, and a barrier that not all threads of the block reach, end the
///   process with the block, the warp and the operations.
/// - Shared memory holds NaN when a block starts. So does the target of an asynchronous copy from its start to the
///   wait that covers it, and the source is read then, not before.
/// - Global and shared memory are blocks of the host's heap: AddressSanitizer sees what is out of bounds.

struct Extent {
  int64_t blocks_x;
  int64_t blocks_y;
  int threads;
  size_t shared_bytes;
};

/// Where an operation stands in the kernel's source.
struct Site {
  const char* file;
  int line;

  bool operator==(const Site& other) const { return line == other.line && file == other.file; }
};

/// The order in which warps run from here on.
void set_seed(uint32_t seed);
/// What messages call the next kernels.
void set_name(const char* name);

void launch(const Extent& extent, const std::function<void()>& thread);

/// Work in order, as a CUDA stream holds it: done when somebody waits for it, not before, so that whoever does not wait
/// is found out.
class Queue {
 public:
  void push(std::function<void()> work);
  /// All that the other holds, again.
  void push(const Queue& other);
  void run() { run(SIZE_MAX); }
  /// What was pushed before `place`: see pushed().
  void run(size_t place);
  /// All that was ever pushed.
  size_t pushed() const { return done_ + items_.size(); }

 private:
  struct Item {
    const char* name;
    std::function<void()> work;
  };
  std::vector<Item> items_;
  size_t done_ = 0;
};

/// At once without a queue.
void launch_on(void* queue, const Extent& extent, std::function<void()> thread);

// ---- For the thread that runs

int thread_index();
int64_t block_x();
int64_t block_y();
const Extent& extent();

/// Shared memory of the block, found by the address of `tag`.
void* shared_memory(const void* tag, size_t bytes);
void* dynamic_shared();

void sync_block(Site site);
bool any_of_block(bool value, Site site);
void sync_warp(Site site);
/// What a warp does together: once all lanes are there, `exchange` is called with what each of the 32 brings.
using Exchange = void (*)(void* const* lanes);
void collective(const char* operation, Exchange exchange, void* own, Site site);
/// Exchanges `value` with the lane whose number differs by `mask`.
void shuffle_xor(void* value, size_t bytes, int mask, Site site);
/// Bit i: the value of lane i.
uint32_t ballot(bool value, Site site);
/// See cuda/device.h: ldmatrix, mma, which adds its 16 products to a sum one by one in float32, and mma_bytes.
void load_matrices(uint32_t* to, const void* row, bool transposed, Site site);
template <typename T>
void multiply_matrices(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1, Site site);
void multiply_bytes(int32_t* sums, const uint32_t* a, uint32_t b0, uint32_t b1, Site site);

/// Waits until *counter is at least that large. By itself, whatever the warp's other lanes do.
void wait_until(const char* operation, Site site, const int64_t* counter, int64_t least);
/// Lets other warps run first, perhaps.
void pause();
/// Ends the process with a message.
[[noreturn]] void stop(const char* what);

/// p; ends the process if it is not aligned to `bytes`.
const void* aligned(const void* p, size_t bytes);

void copy_async(void* to, const void* from, size_t bytes, bool wanted);
void commit_copies();
void wait_copies(size_t pending);

}  // namespace heddle::simt
