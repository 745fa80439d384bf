#pragma once

#include "core/thread_pool.h"

namespace heddle {

class Allocator;

/// What a kernel is given beside its op.
struct KernelContext {
  ThreadPool& pool;
  Allocator& allocator;  // scratch memory
  const int threads = pool.num_threads();

  /// Calls tile(i), or tile(i, worker) with worker in [0, threads), for each i in [0, count): see ThreadPool.
  template <typename Tile>
  void parallel_for(int64_t count, double ns_per_tile, const Tile& tile) {
    pool.parallel_for(threads, count, ns_per_tile, tile);
  }
};

}  // namespace heddle
