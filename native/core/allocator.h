#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <unordered_map>

namespace heddle {

struct AllocatorStats {
  size_t used = 0;    // bytes handed out
  size_t cached = 0;  // bytes kept for reuse
  size_t peak = 0;    // largest `used` so far
};

/// Where an allocator's blocks come from, aligned to Allocator::kAlignment.
class MemorySource {
 public:
  virtual ~MemorySource() = default;
  /// Null where there is none.
  virtual void* take(size_t bytes) = 0;
  virtual void give_back(void* block) = 0;
};

/// Caching allocator of one stream's memory: a block that is freed can be handed out at once, since what used it comes
/// before in the stream. Blocks are rounded up to size classes, so that a decode step finds the blocks of the step
/// before. What is cached is bounded: beyond that, blocks that were free the longest go back to where they came from.
class Allocator {
 public:
  static constexpr size_t kAlignment = 64;

  Allocator(MemorySource& source, size_t max_cached) : source_(source), max_cached_(max_cached) {}
  ~Allocator();
  Allocator(const Allocator&) = delete;
  Allocator& operator=(const Allocator&) = delete;

  /// Uninitialised memory. Throws Error "OUT_OF_MEMORY".
  void* allocate(size_t bytes);
  void free(void* block) noexcept;
  /// Gives cached blocks back.
  void trim();
  AllocatorStats stats() const;

 private:
  struct FreeBlock {
    void* block;
    uint64_t since;  // blocks that were freed before it
  };

  bool keep(void* block, size_t size);
  void evict_oldest();
  void give_back(void* block);
  void trim_locked();

  MemorySource& source_;
  const size_t max_cached_;
  mutable std::mutex mutex_;                             // stats are read from the JavaScript thread
  std::map<size_t, std::deque<FreeBlock>> free_blocks_;  // by size, the oldest first
  uint64_t num_freed_ = 0;
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
