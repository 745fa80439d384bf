#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

#if defined(_MSC_VER)
#include <intrin.h>
#endif

namespace heddle {

inline void cpu_pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#elif defined(_M_X64)
  _mm_pause();
#elif defined(_M_ARM64)
  __yield();
#endif
}

/// Threads wait for a condition that others make true. Waking a sleeping thread costs 10 µs and more, so the
/// waiter first spins (2 µs), then yields (to 100 µs: free on a quiet machine, and gives way on a busy one), then
/// sleeps. `notify` costs a fence unless somebody sleeps.
class Waiter {
 public:
  template <typename Ready>
  void wait(Ready ready) {
    using Clock = std::chrono::steady_clock;
    const auto began = Clock::now();
    while (!ready()) {
      const auto waited = Clock::now() - began;
      if (waited > std::chrono::microseconds(100)) return sleep(ready);
      if (waited > std::chrono::microseconds(2)) {
        std::this_thread::yield();
      } else {
        for (int i = 0; i < 8; ++i) cpu_pause();
      }
    }
  }

  /// Call after the condition was made true.
  void notify() {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // pairs with the one in sleep()
    if (sleepers_.load(std::memory_order_relaxed) == 0) return;
    std::lock_guard<std::mutex> lock(mutex_);
    wake_.notify_all();
  }

 private:
  template <typename Ready>
  void sleep(Ready ready) {
    std::unique_lock<std::mutex> lock(mutex_);
    sleepers_.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    while (!ready()) wake_.wait(lock);
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

  std::atomic<int> sleepers_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
};

}  // namespace heddle
