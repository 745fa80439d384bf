#pragma once

#include <cstddef>
#include <map>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace heddle {

struct AllocatorStats {
  size_t used = 0;    // bytes handed out
  size_t cached = 0;  // bytes kept for reuse
  size_t peak = 0;    // largest `used` so far
};

/// Caching allocator of one device's memory. Blocks are 64-byte aligned and rounded up to size classes, so that a
/// decode step finds the blocks of the step before. What is cached is bounded; the rest goes back to the system.
class Allocator {
 public:
  static constexpr size_t kAlignment = 64;
  static constexpr size_t kMaxCached = size_t{256} << 20;

  Allocator() = default;
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// Uninitialised memory. Throws Error "OUT_OF_MEMORY".
  void* allocate(size_t bytes);
  void free(void* block);
  /// Gives cached blocks back to the system.
  void trim();
  AllocatorStats stats() const;

 private:
  void trim_locked();

  mutable std::mutex mutex_;  // stats are read from the JavaScript thread
  std::map<size_t, std::vector<void*>> free_blocks_;
  std::unordered_map<void*, size_t> sizes_;
  AllocatorStats stats_;
};

/// Scratch memory of a kernel, given back at the end of the scope.
template <typename T>
class Scratch {
 public:
  Scratch(Allocator& allocator, size_t count)
      : allocator_(allocator), data_(static_cast<T*>(allocator.allocate(count * sizeof(T)))) {}
  ~Scratch() { allocator_.free(data_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  T* get() const { return data_; }

 private:
  Allocator& allocator_;
  T* data_;
};

}  // namespace heddle
