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
  auto found = free_blocks_.find(size);
  if (found != free_blocks_.end() && !found->second.empty()) {
    block = found->second.back();
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
  if (stats_.cached + size <= max_cached_ && keep(block, size)) {
    stats_.cached += size;
  } else {
    sizes_.erase(found);
    source_.give_back(block);
  }
}

/// For reuse. False where there is no memory for the list.
bool Allocator::keep(void* block, size_t size) {
  try {
    free_blocks_[size].push_back(block);
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void Allocator::trim() {
  std::lock_guard<std::mutex> lock(mutex_);
  trim_locked();
}

void Allocator::trim_locked() {
  for (auto& [size, blocks] : free_blocks_) {
    for (void* block : blocks) {
      sizes_.erase(block);
      source_.give_back(block);
    }
  }
  free_blocks_.clear();
  stats_.cached = 0;
}

AllocatorStats Allocator::stats() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return stats_;
}

}  // namespace heddle
