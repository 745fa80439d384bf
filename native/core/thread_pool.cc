#include "core/thread_pool.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <system_error>

#include "core/compute_thread.h"
#include "core/error.h"

#if defined(__linux__)
#include <sched.h>
#endif

namespace heddle {
namespace {

constexpr double kSerialNs = 10'000;  // below this a second thread costs more than it brings
constexpr double kClaimNs = 4'000;
constexpr int kClaimsPerThread = 4;
constexpr int kMaxThreads = 1024;

int available_cpus() {
  int cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = CPU_COUNT(&set);
  // cgroup v2: "<quota µs> <period µs>", or "max <period>".
  if (std::FILE* const file = std::fopen("/sys/fs/cgroup/cpu.max", "r")) {
    double quota = 0, period = 0;
    if (std::fscanf(file, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0) {
      cpus = std::min(cpus, std::max(1, static_cast<int>(std::ceil(quota / period))));
    }
    std::fclose(file);
  }
#endif
  return std::max(1, cpus);
}

int default_threads() {
  const char* text = std::getenv("HEDDLE_NUM_THREADS");
  if (!text || !*text) return available_cpus();
  char* end = nullptr;
  const long count = std::strtol(text, &end, 10);
  if (*end || count < 1 || count > kMaxThreads) {
    throw_range_error("[heddle] HEDDLE_NUM_THREADS must be a whole number from 1 to ", kMaxThreads, " but got \"", text,
                      "\"");
  }
  return static_cast<int>(count);
}

}  // namespace

ThreadPool& ThreadPool::instance() {
  static ThreadPool* const pool = new ThreadPool;
  return *pool;
}

ThreadPool::ThreadPool() : num_threads_(default_threads()) {}

int64_t ThreadPool::tiles_per_claim(int threads, int64_t count, double ns_per_tile) {
  if (threads == 1 || static_cast<double>(count) * ns_per_tile < kSerialNs) return count;
  const auto worthwhile = static_cast<int64_t>(kClaimNs / std::max(ns_per_tile, 1.0));
  const int64_t even = count / (static_cast<int64_t>(threads) * kClaimsPerThread);
  return std::max<int64_t>({1, worthwhile, even});
}

bool ThreadPool::execute(int threads, const Job& job) {
  std::unique_lock<std::mutex> lock(busy_, std::try_to_lock);
  if (!lock) return false;
  resize(threads);
  job_ = job;
  const int64_t claims = (job.count + job.run - 1) / job.run;
  unfinished_.store(claims, std::memory_order_relaxed);
  unclaimed_.store(claims, std::memory_order_release);
  work_ready_.notify();
  while (claim_and_run(0)) {
  }
  job_done_.wait([this] { return unfinished_.load(std::memory_order_acquire) == 0; });
  return true;
}

bool ThreadPool::claim_and_run(int worker) {
  // Counting down makes a late worker harmless: whatever it claims belongs to the job that is current by then.
  int64_t left = unclaimed_.load(std::memory_order_relaxed);
  do {
    if (left == 0) return false;
  } while (!unclaimed_.compare_exchange_weak(left, left - 1, std::memory_order_acquire, std::memory_order_relaxed));
  const int64_t last = std::min(job_.count, left * job_.run);
  for (int64_t i = (left - 1) * job_.run; i < last; ++i) job_.call(job_.tile, i, worker);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) job_done_.notify();
  return true;
}

void ThreadPool::work(int worker) {
  ask_for_long_slices();
  while (true) {
    work_ready_.wait(
        [this] { return unclaimed_.load(std::memory_order_relaxed) > 0 || stopping_.load(std::memory_order_relaxed); });
    if (stopping_.load(std::memory_order_relaxed)) return;
    claim_and_run(worker);
  }
}

void ThreadPool::resize(int threads) {
  const size_t wanted = static_cast<size_t>(threads) - 1;
  if (workers_.size() > wanted) {
    stopping_.store(true, std::memory_order_relaxed);
    work_ready_.notify();
    for (std::thread& worker : workers_) worker.join();
    workers_.clear();
    stopping_.store(false, std::memory_order_relaxed);
  }
  while (workers_.size() < wanted) {
    const int worker = static_cast<int>(workers_.size()) + 1;
    try {
      workers_.emplace_back([this, worker] { work(worker); });
    } catch (const std::system_error&) {
      break;  // no more threads to be had: the work is done by those that there are
    }
  }
}

}  // namespace heddle
