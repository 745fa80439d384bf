#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

#include "core/waiter.h"

namespace heddle {

/// The process's worker threads. A stream runs an op's tiles on them and on itself; which thread runs a tile never
/// changes a result. One job at a time: a second stream that finds the pool busy runs its tiles alone.
class ThreadPool {
 public:
  static ThreadPool& instance();

  /// Threads an op may use, the calling one included.
  int num_threads() const { return num_threads_.load(std::memory_order_relaxed); }
  /// Takes effect at the next op. `count` is at least 1.
  void set_num_threads(int count) { num_threads_.store(count, std::memory_order_relaxed); }

  /// Calls tile(i), or tile(i, worker) with worker in [0, threads), for each i in [0, count). Tiles do not throw.
  /// `ns_per_tile` is a rough cost: short jobs stay on the calling thread, and tiles are claimed in runs long enough
  /// to be worth the claim.
  template <typename Tile>
  void parallel_for(int threads, int64_t count, double ns_per_tile, const Tile& tile) {
    const int64_t run = tiles_per_claim(threads, count, ns_per_tile);
    if (run >= count || !execute(threads, Job{&call<Tile>, &tile, count, run})) {
      for (int64_t i = 0; i < count; ++i) call<Tile>(&tile, i, 0);
    }
  }

 private:
  struct Job {
    void (*call)(const void* tile, int64_t index, int worker);
    const void* tile;
    int64_t count;
    int64_t run;  // tiles per claim
  };

  template <typename Tile>
  static void call(const void* tile, int64_t index, int worker) {
    if constexpr (std::is_invocable_v<const Tile&, int64_t, int>) {
      (*static_cast<const Tile*>(tile))(index, worker);
    } else {
      (*static_cast<const Tile*>(tile))(index);
    }
  }

  ThreadPool();
  ~ThreadPool() = delete;  // lives as long as the process: threads of other isolates may still use it at exit

  static int64_t tiles_per_claim(int threads, int64_t count, double ns_per_tile);
  /// False when another stream is using the pool.
  bool execute(int threads, const Job& job);
  void work(int worker);
  bool claim_and_run(int worker);
  void resize(int threads);

  std::atomic<int> num_threads_;
  std::mutex busy_;  // held by the stream whose job runs
  std::vector<std::thread> workers_;
  std::atomic<bool> stopping_{false};
  Job job_{};                          // written before `unclaimed_`, read only after a successful claim
  std::atomic<int64_t> unclaimed_{0};  // claims left in the job
  std::atomic<int64_t> unfinished_{0};
  Waiter work_ready_;
  Waiter job_done_;
};

}  // namespace heddle
