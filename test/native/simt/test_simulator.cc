#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "simt/harness.h"
#include "simt/simulator.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

using namespace cuda;

/// What a kernel that is wrong says before it ends its process.
std::string last_words(int threads, const std::function<void()>& kernel) {
  int ends[2];
  if (pipe(ends) != 0) return "no pipe";
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDERR_FILENO);
    simt::set_name("kernel");
    simt::launch({1, 1, threads, 0}, kernel);
    _exit(0);
  }
  close(ends[1]);
  std::string words;
  char buffer[512];
  for (ssize_t count; (count = read(ends[0], buffer, sizeof buffer)) > 0;) words.append(buffer, count);
  close(ends[0]);
  waitpid(child, nullptr, 0);
  return words;
}

void expect_stop(const char* name, int threads, const std::vector<std::string>& words,
                 const std::function<void()>& kernel) {
  begin_case(name);
  const std::string said = last_words(threads, kernel);
  for (const std::string& word : words) {
    expect(said.find(word) != std::string::npos, concat("does not say \"", word, "\" but \"", said, "\""));
  }
}

using Two = float[2 * kWarp];

}  // namespace

void test_simulator() {
  begin_op("simulator");
  expect_stop("lanes in different collectives", kWarp,
              {"kernel: lanes of a warp in different operations in block (0, 0), warp 0", "shuffle_xor", "ballot"}, [] {
                if (lane_index() < 5) {
                  shuffle_xor(1, 1);
                } else {
                  ballot(true);
                }
              });
  expect_stop("a lane that left", kWarp, {"lanes of a warp in different operations", "ended", "sync_warp"}, [] {
    if (lane_index() != 3) sync_warp();
  });
  expect_stop("a barrier that a warp does not reach", 2 * kWarp,
              {"a barrier that not all threads reach", "thread 32 on: ended", "test_simulator.cc"}, [] {
                if (warp_index() == 0) sync_block();
              });
  expect_stop("two barriers", 2 * kWarp, {"a barrier that not all threads reach"}, [] {
    if (warp_index() == 0) {
      sync_block();
    } else {
      sync_block();
    }
  });
  expect_stop("an unaligned copy", kWarp, {"unaligned"}, [] {
    HEDDLE_SHARED(Two, two);
    copy_async<16>(two + 1, two, false);
  });

  begin_case("what is not written or waited for is NaN");
  const float one = 1;
  bool shared = true, early = true, late = true;
  simt::launch({1, 1, kWarp, 0}, [&] {
    HEDDLE_SHARED(Two, two);
    const int i = lane_index();
    shared = shared && std::isnan(two[i]);
    two[i] = 2;
    copy_async<4>(two + i, &one, true);
    commit_copies();
    copy_async<4>(two + kWarp + i, &one, i % 2 == 0);
    commit_copies();
    early = early && std::isnan(two[i]) && std::isnan(two[kWarp + i]);
    wait_copies<1>();
    late = late && two[i] == 1 && std::isnan(two[kWarp + i]);
    wait_copies<0>();
    late = late && two[kWarp + i] == (i % 2 == 0 ? 1 : 0);
  });
  expect(shared, "shared memory");
  expect(early, "a copy under way");
  expect(late, "a copy waited for");

  begin_case("warps and lanes take turns in another order for another seed");
  Ints orders[3];
  for (int run = 0; run < 3; ++run) {
    simt::set_seed(run == 2 ? 8 : 7);
    simt::launch({1, 1, 4 * kWarp, 0}, [&] { orders[run].push_back(thread_index()); });
  }
  expect(orders[0] == orders[1] && orders[0] != orders[2], "the order");
}

}  // namespace heddle::test
