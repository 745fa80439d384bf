#include <cmath>
#include <cstring>

#include "cuda/hopper.h"
#include "cuda/swizzle.h"
#include "simt/harness.h"
#include "simt/simulator.h"
#include "simt/tests.h"

// What the simulator says of the operations of native/cuda/hopper.h: right results, and a message for each misuse.

namespace heddle::test {
namespace {

using namespace cuda;

constexpr int kFloats = 1024;  // of a source
constexpr int kBytes = kFloats * 4;

struct Barriers {
  Barrier full;
  Barrier free;
};

float* source() {
  static float numbers[kFloats];
  for (int i = 0; i < kFloats; ++i) numbers[i] = static_cast<float>(i);
  return numbers;
}

/// Two warps, the second of which copies, with the barriers started as they should be.
void with_barriers(const std::function<void(Barriers&, float*)>& body) {
  HEDDLE_SHARED(Barriers, barriers);
  if (thread_index() == 0) {
    start_barrier(barriers.full, 1);
    start_barrier(barriers.free, kWarp);
    fence_barriers();
  }
  sync_block();
  body(barriers, reinterpret_cast<float*>(swizzled_shared()));
}

void copy() {
  begin_case("copies in bulk land before the wait ends, and not at once");
  bool right = true, nan = true;
  for (const uint32_t seed : {1, 2, 3, 4}) {
    simt::set_seed(seed);
    simt::launch({1, 1, 2 * kWarp, 2 * kBytes}, [&] {
      with_barriers([&](Barriers& barriers, float* slot) {
        for (int round = 0; round < 4; ++round) {
          if (warp_index() == 0) {
            wait(barriers.full, round & 1);
            for (int i = lane_index(); i < kFloats; i += kWarp) right = right && slot[i] == static_cast<float>(i);
            arrive(barriers.free);
          } else if (lane_index() == 0) {
            wait(barriers.free, round & 1 ? 0 : 1);
            arrive_expecting(barriers.full, kBytes);
            copy_bulk(slot, source(), kBytes / 2, barriers.full);
            copy_bulk(slot + kFloats / 2, source() + kFloats / 2, kBytes / 2, barriers.full);
            nan = nan && std::isnan(slot[0]);
          }
        }
      });
    });
  }
  expect(right, "what was copied");
  expect(nan, "a copy under way");
}

void misused_copies() {
  const auto stops = [](const char* name, const std::vector<std::string>& words,
                        const std::function<void(Barriers&, float*)>& body) {
    const auto one = [&](Barriers& barriers, float* slot) {
      if (thread_index() == 0) body(barriers, slot);
    };
    expect_stop(
        name, kWarp, words, [&] { with_barriers(one); }, 2 * kBytes);
  };
  stops("more bytes expected than copied", {"a deadlock", "wait at", "1 of 1 arrived, 16 bytes"},
        [](Barriers& barriers, float* slot) {
          arrive_expecting(barriers.full, 48);
          copy_bulk(slot, source(), 32, barriers.full);
          wait(barriers.full, 0);
        });
  stops("fewer bytes expected than copied", {"a deadlock", "-16 bytes"}, [](Barriers& barriers, float* slot) {
    arrive_expecting(barriers.full, 16);
    copy_bulk(slot, source(), 32, barriers.full);
    wait(barriers.full, 0);
  });
  stops("a wait for a phase that never ends", {"a deadlock", "wait at"},
        [](Barriers& barriers, float*) { wait(barriers.full, 0); });
  stops("a phase waited for twice", {"waits again for a phase"}, [](Barriers& barriers, float*) {
    arrive(barriers.full);
    wait(barriers.full, 0);
    arrive(barriers.full);
    wait(barriers.full, 1);
    wait(barriers.full, 1);
  });
  stops("a barrier that was not started", {"not started"},
        [](Barriers&, float* slot) { arrive(*reinterpret_cast<Barrier*>(slot)); });
  stops("an arrival too many", {"more arrivals"}, [](Barriers& barriers, float*) {
    arrive_expecting(barriers.full, 16);
    arrive(barriers.full);
  });
  stops("a copy that is no multiple of 16", {"multiple of 16"},
        [](Barriers& barriers, float* slot) { copy_bulk(slot, source(), 8, barriers.full); });
  stops("an unaligned copy in bulk", {"unaligned"},
        [](Barriers& barriers, float* slot) { copy_bulk(slot + 1, source(), 16, barriers.full); });
  stops("a copy that nobody waits for", {"nobody waited for"},
        [](Barriers& barriers, float* slot) { copy_bulk(slot, source(), 16, barriers.full); });
  expect_stop(
      "barriers without a fence", kWarp, {"without a fence"},
      [] {
        HEDDLE_SHARED(Barrier, barrier);
        if (thread_index() > 0) return;
        start_barrier(barrier, 1);
        copy_bulk(dynamic_shared(), source(), 16, barrier);
      },
      kBytes);
  expect_stop("a named barrier that a warp does not reach", 3 * kWarp, {"a deadlock", "barrier 1: 64 of 96 threads"},
              [] {
                if (warp_index() < 2) sync_named(1, 3 * kWarp);
              });
  expect_stop("a named barrier of two numbers", 2 * kWarp, {"different numbers"},
              [] { sync_named(1, warp_index() == 0 ? 2 * kWarp : 3 * kWarp); });
  expect_stop("registers that there are not", kWarp, {"setmaxnreg"}, [] { take_registers<20>(); });
}

// ---- Products

/// A product of a [64, 64] and b [64, 128] in one call of four steps, or of half of it where b has 64 columns.
struct Factors64 {
  Floats a, b;
  Factors64(DType dtype) : a(normals(64 * 64, 1, dtype)), b(normals(64 * 128, 2, dtype)) {}
};

constexpr int kA = 64 * 64, kB = 64 * 128;  // halves
constexpr size_t kProductBytes = 2 * (kA + kB) + kSwizzleBytes;

/// Element (row, step) of lines of 64 steps, or of 64 rows; `rows` of them in all.
int line_place(Major major, int row, int step) {
  return major == Major::kSteps ? swizzled<8>(row, step / 8) + step % 8
                                : row / 64 * 64 * 64 + swizzled<8>(step, row % 64 / 8) + row % 8;
}

template <typename T>
void write_factors(T* shared, const Factors64& f, Major a, Major b) {
  for (int i = thread_index(); i < 64 * 64; i += kWarpgroup) {
    shared[line_place(a, i / 64, i % 64)] = narrow<T>(f.a[i]);
  }
  for (int i = thread_index(); i < 64 * 128; i += kWarpgroup) {
    shared[kA + line_place(b, i % 128, i / 128)] = narrow<T>(f.b[i]);
  }
}

template <Major major>
uint64_t step_of(const void* first, int step, int rows) {
  const auto* const bytes = static_cast<const char*>(first);
  if constexpr (major == Major::kSteps) return advance(describe_lines(bytes, 0, 1024), step * 32);
  return describe_lines(bytes + step * 2048, rows > 64 ? 8192 : 0, 1024);
}

template <typename T, Major A, Major B, bool InRegisters>
void multiply_64(const char* name) {
  begin_case(concat(name, std::is_same_v<T, Float16> ? ", float16" : ", bfloat16"));
  const Factors64 f(std::is_same_v<T, Float16> ? DType::kFloat16 : DType::kBFloat16);
  bool right = true, nan = true;
  simt::launch({1, 1, kWarpgroup, kProductBytes}, [&] {
    T* const shared = reinterpret_cast<T*>(swizzled_shared());
    write_factors(shared, f, A, B);
    fence_async();
    sync_named(1, kWarpgroup);
    const int row = warp_index() * 16 + lane_index() / 4, t = lane_index() % 4 * 2;
    uint32_t a[4][4];
    for (int step = 0; step < 4; ++step) {
      for (int j = 0; j < 4; ++j) {
        const float* const two = &f.a[(row + j % 2 * 8) * 64 + step * 16 + t + j / 2 * 8];
        a[step][j] = narrow_two<T>(two[0], two[1]);
      }
    }
    float sums[16][4];
    std::fill_n(sums[0], 64, 1.0f);
    fence_products();
    for (int step = 0; step < 4; ++step) {
      if constexpr (InRegisters) {
        multiply_registers<T, B>(sums, a[step], step_of<B>(shared + kA, step, 128), true);
      } else {
        multiply_shared<T, A, B>(sums, step_of<A>(shared, step, 64), step_of<B>(shared + kA, step, 128), step > 0);
      }
    }
    commit_products();
    nan = nan && std::isnan(sums[3][1]);
    wait_products<0>(sums);
    for (int j = 0; j < 64; ++j) {
      const int m = row + j % 4 / 2 * 8, n = j / 4 * 8 + t + j % 2;
      float wanted = InRegisters ? 1 : 0;
      for (int k = 0; k < 64; ++k) wanted += f.a[m * 64 + k] * f.b[k * 128 + n];
      right = right && sums[j / 4][j % 4] == wanted;
    }
  });
  expect(right, "the sums");
  expect(nan, "sums under way");
}

using Sums = float[16][4];

void misused_products() {
  const Factors64 f(DType::kFloat16);
  const auto stops = [&](const char* name, const std::vector<std::string>& words,
                         const std::function<void(Float16*, Sums&)>& body) {
    const auto kernel = [&] {
      Float16* const shared = reinterpret_cast<Float16*>(swizzled_shared());
      write_factors(shared, f, Major::kSteps, Major::kRows);
      fence_async();
      sync_named(1, kWarpgroup);
      Sums sums{};
      body(shared, sums);
    };
    expect_stop(name, kWarpgroup, words, kernel, kProductBytes);
  };
  const auto issue = [](Float16* shared, Sums& sums, int rows_on = 0) {
    const uint64_t b = step_of<Major::kRows>(shared + kA, 0, 128);
    multiply_shared<Float16, Major::kSteps, Major::kRows>(sums, step_of<Major::kSteps>(shared + rows_on * 64, 0, 64), b,
                                                          true);
  };
  stops("memory that a product still reads", {"changed between its issue and its wait"},
        [&](Float16* shared, Sums& sums) {
          fence_products();
          issue(shared, sums);
          commit_products();
          sync_named(1, kWarpgroup);
          if (thread_index() == 0) shared[kA] = {0};
          fence_async();
          sync_named(1, kWarpgroup);
          wait_products<0>(sums);
        });
  stops("sums that a product still writes", {"sums that were touched"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    issue(shared, sums);
    commit_products();
    sums[1][2] = 0;
    wait_products<0>(sums);
  });
  stops("registers that a product still reads", {"registers of a product"}, [&](Float16* shared, Sums& sums) {
    uint32_t a[4] = {};
    fence_products();
    multiply_registers<Float16, Major::kRows>(sums, a, step_of<Major::kRows>(shared + kA, 0, 128), true);
    commit_products();
    a[2] = 1;
    wait_products<0>(sums);
  });
  stops("a product without a fence", {"without a fence"}, [&](Float16* shared, Sums& sums) { issue(shared, sums); });
  stops("a product that nobody waits for", {"nobody waited"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    issue(shared, sums);
    commit_products();
  });
  stops("a group that was not ended", {"nobody waited"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    issue(shared, sums);
    wait_products<0>(sums);
  });
  stops("warps with different products", {"warps of a warpgroup with different"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    issue(shared, sums, warp_index() == 2 ? 8 : 0);
    commit_products();
    wait_products<0>(sums);
  });
  stops("a warp without a product", {"warps of a warpgroup with different"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    if (warp_index() != 1) issue(shared, sums);
    commit_products();
    wait_products<0>(sums);
  });
  stops("a product beyond shared memory", {"beyond dynamic shared memory"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    const uint64_t b = step_of<Major::kRows>(shared + kA, 0, 128);
    multiply_registers<Float16, Major::kRows>(sums, {}, advance(b, kB), true);
  });
  stops("a product of what is not fenced", {"written and not fenced"}, [&](Float16* shared, Sums& sums) {
    if (thread_index() == 77) shared[kA] = {0};
    if (thread_index() != 77) fence_async();
    sync_named(1, kWarpgroup);
    fence_products();
    issue(shared, sums);
  });
  stops("writes where a product still reads", {"written and not fenced"}, [&](Float16* shared, Sums& sums) {
    fence_products();
    issue(shared, sums);
    commit_products();
    if (thread_index() == 77) shared[kA] = {0};
    sync_named(1, kWarpgroup);
    wait_products<0>(sums);
  });
}

template <typename T>
void multiply_all() {
  multiply_64<T, Major::kSteps, Major::kRows, false>("a by steps, b by rows");
  multiply_64<T, Major::kRows, Major::kSteps, false>("a by rows, b by steps");
  multiply_64<T, Major::kSteps, Major::kSteps, true>("a in registers, b by steps");
  multiply_64<T, Major::kSteps, Major::kRows, true>("a in registers, b by rows");
}

}  // namespace

void test_hopper() {
  begin_op("hopper");
  copy();
  misused_copies();
  multiply_all<Float16>();
  multiply_all<BFloat16>();
  misused_products();
}

}  // namespace heddle::test
