// The native side without Node, for sanitizers: several threads, each with a runtime of its own as an isolate has,
// queue random work on random data, share weights and the thread pool, abort, fail, and end with work queued.
//
//   heddle_stress [seconds] [threads] [seed] [scarcity]
//
// With a scarcity, one in so many allocations of the streams' threads and of the pool's fails.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "stress/life.h"
#include "stress/scarcity.h"

namespace heddle::stress {
namespace {

using Clock = std::chrono::steady_clock;

/// Whatever the threads that it runs on, a computation gives the same bytes.
void repeat(Life& life, const Computation& computation) {
  const std::mt19937 before = life.random;
  const std::vector<Value> first = life.values(computation.run(life));
  ThreadPool::instance().set_num_threads(1 + life.pick(4));
  life.random = before;
  const std::vector<Value> second = life.values(computation.run(life));
  for (size_t i = 0; i < first.size(); ++i) {
    if (scarce() && (!first[i] || !second[i])) continue;
    if (!first[i] || first[i] != second[i]) fail(concat(computation.name, " gave other bytes, or none"));
  }
}

void round(Life& life) {
  const auto count = static_cast<int>(kComputations.size());
  try {
    const int choice = life.pick(count + static_cast<int>(kIncidents.size()));
    if (choice < count) {
      repeat(life, kComputations[choice]);
    } else {
      kIncidents[choice - count](life);
    }
  } catch (const Error& error) {
    if (error.code() != "QUEUE_FULL") fail(error.what());
    life.drain();
  }
  life.runtime.settle();
  if (life.pick(8) == 0) ThreadPool::instance().set_num_threads(1 + life.pick(4));
  if (life.pick(20) == 0) life.runtime.cpu().allocator().trim();
}

/// What one isolate does after another.
void live(uint32_t seed, const File& weights, Clock::time_point until) {
  spare_this_thread();
  std::mt19937 random(seed);
  while (Clock::now() < until) {
    Runtime runtime;
    Life life{runtime, random, weights};
    const int rounds = 1 + life.pick(40);
    for (int i = 0; i < rounds && Clock::now() < until; ++i) round(life);
    // It ends as it is: with work queued, tensors alive, a recording open.
    if (life.pick(3) == 0) runtime.begin_recording();
  }
}

int run(double seconds, int threads, uint32_t seed) {
  char path[] = "/tmp/heddle-stress-XXXXXX";
  const int descriptor = mkstemp(path);
  if (descriptor < 0) fail("no temporary file");
  std::FILE* const file = fdopen(descriptor, "wb");
  for (int i = 0; i < 96 * 64; ++i) {
    const float value = static_cast<float>(i % 17);
    std::fwrite(&value, sizeof value, 1, file);
  }
  std::fclose(file);
  {
    const File weights(path);
    const auto until =
        Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
    std::vector<std::thread> lives;
    for (int i = 0; i < threads; ++i) {
      lives.emplace_back([&, i] { live(seed + static_cast<uint32_t>(i), weights, until); });
    }
    for (std::thread& life : lives) life.join();
  }
  std::remove(path);
  std::puts("stress: done");
  return 0;
}

}  // namespace

void fail(const std::string& what) {
  std::fprintf(stderr, "stress: %s\n", what.c_str());
  std::abort();
}

}  // namespace heddle::stress

int main(int argc, char** argv) {
  const double seconds = argc > 1 ? std::atof(argv[1]) : 10;
  const int threads = argc > 2 ? std::atoi(argv[2]) : 4;
  heddle::stress::make_scarce(argc > 4 ? std::atoi(argv[4]) : 0);
  return heddle::stress::run(seconds, threads, argc > 3 ? static_cast<uint32_t>(std::atoi(argv[3])) : 1);
}
