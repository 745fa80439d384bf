#include "stress/scarcity.h"

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace heddle::stress {
namespace {

std::atomic<int> scarcity{0};
std::atomic<unsigned> count{0};
thread_local bool spared = false;

bool fails() {
  const int one_in = scarcity.load(std::memory_order_relaxed);
  return one_in > 0 && !spared && count.fetch_add(1, std::memory_order_relaxed) % one_in == 0;
}

void* take(size_t bytes, size_t alignment) {
  if (fails()) return nullptr;
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment + (bytes == 0 ? alignment : 0));
}

void* take_or_throw(size_t bytes, size_t alignment) {
  if (void* const block = take(bytes, alignment)) return block;
  throw std::bad_alloc();
}

}  // namespace

void make_scarce(int one_in) {
  spare_this_thread();
  scarcity.store(one_in, std::memory_order_relaxed);
}
bool scarce() { return scarcity.load(std::memory_order_relaxed) > 0; }
void spare_this_thread() { spared = true; }

}  // namespace heddle::stress

// In the place of the library's: https://en.cppreference.com/w/cpp/memory/new/operator_new
using heddle::stress::take;
using heddle::stress::take_or_throw;

constexpr size_t kUsual = alignof(std::max_align_t);

void* operator new(size_t bytes) { return take_or_throw(bytes, kUsual); }
void* operator new(size_t bytes, std::align_val_t alignment) {
  return take_or_throw(bytes, static_cast<size_t>(alignment));
}
void* operator new(size_t bytes, const std::nothrow_t&) noexcept { return take(bytes, kUsual); }
void* operator new(size_t bytes, std::align_val_t alignment, const std::nothrow_t&) noexcept {
  return take(bytes, static_cast<size_t>(alignment));
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }
void operator delete(void* block, std::align_val_t) noexcept { std::free(block); }
void operator delete(void* block, size_t, std::align_val_t) noexcept { std::free(block); }
