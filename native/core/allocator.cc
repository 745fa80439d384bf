#include "core/allocator.h"

#include <algorithm>
#include <new>

#include "core/error.h"

namespace heddle {
namespace {

/// Sizes are rounded up to eight classes per power of two: at most an eighth is wasted.
size_t size_class(size_t bytes) {
  size_t step = Allocator::kAlignment;
  while (step * 16 < bytes) step *= 2;
  return std::max<size_t>(step, (bytes + step - 1) / step * step);
}

}  // namespace

Allocator::~Allocator() { trim(); }

void* Allocator::allocate(size_t bytes) {
  const size_t size = size_class(bytes);
  std::lock_guard<std::mutex> lock(mutex_);
  void* block = nullptr;
  const auto found = free_blocks_.find(size);
  if (found != free_blocks_.end() && !found->second.empty()) {
    block = found->second.back().block;
    found->second.pop_back();
    stats_.cached -= size;
  } else {
    block = source_.take(size);
    if (!block) {
      trim_locked();
      block = source_.take(size);
    }
    if (!block) {
      throw Error(ErrorKind::kRuntime, "OUT_OF_MEMORY",
                  concat("[allocate] no memory for ", bytes, " bytes (", stats_.used, " in use)"));
    }
    try {
      sizes_.emplace(block, size);
    } catch (...) {
      source_.give_back(block);
      throw;
    }
  }
  stats_.used += size;
  stats_.peak = std::max(stats_.peak, stats_.used);
  return block;
}

void Allocator::free(void* block) noexcept {
  if (!block) return;
  std::lock_guard<std::mutex> lock(mutex_);
  const auto found = sizes_.find(block);
  const size_t size = found->second;
  stats_.used -= size;
  if (size > max_cached_ || !keep(block, size)) return give_back(block);
  stats_.cached += size;
  while (stats_.cached > max_cached_) evict_oldest();
}

/// For reuse. False where there is no memory for the list.
bool Allocator::keep(void* block, size_t size) {
  try {
    free_blocks_[size].push_back({block, num_freed_++});
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Allocator::evict_oldest() {
  auto oldest = free_blocks_.end();
  for (auto at = free_blocks_.begin(); at != free_blocks_.end(); ++at) {
    if (at->second.empty()) continue;
    if (oldest == free_blocks_.end() || at->second.front().since < oldest->second.front().since) oldest = at;
  }
  give_back(oldest->second.front().block);
  oldest->second.pop_front();
  stats_.cached -= oldest->first;
}

void Allocator::give_back(void* block) {
  sizes_.erase(block);
  source_.give_back(block);
}

void Allocator::trim() {
  std::lock_guard<std::mutex> lock(mutex_);
  trim_locked();
}

void Allocator::trim_locked() {
  for (auto& [size, blocks] : free_blocks_) {
    for (const FreeBlock& free : blocks) give_back(free.block);
  }
  free_blocks_.clear();
  stats_.cached = 0;
}

AllocatorStats Allocator::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

}  // namespace heddle
