#include "simt/simulator.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "simt/fiber.h"
#include "simt/hopper.h"

namespace heddle::simt {
namespace {

constexpr int kWarp = 32;
constexpr int kPoison = 0xff;  // as float: NaN

enum class Wait { kNothing, kBlock, kWarp, kCount, kDone };

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
  bool wanted;
};

struct Thread {
  int index;
  std::unique_ptr<Fiber> fiber;
  Wait wait = Wait::kDone;
  const char* operation = "";
  Site site{};
  // What the lane brings to a collective; null at a plain meeting.
  Exchange exchange = nullptr;
  void* own = nullptr;
  bool flag = false;
  // What it waits for: that a counter gets that far.
  const int64_t* counter = nullptr;
  int64_t least = 0;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
};

/// The block that runs.
struct Block {
  Extent extent{};
  int64_t x = 0, y = 0;
  const std::function<void()>* body = nullptr;
  std::vector<std::unique_ptr<Thread>> threads;
  std::map<const void*, std::vector<char>> shared;
  std::vector<char> dynamic;
  bool any = false;
  int counting = 0;  // threads that wait for a counter
};

Block& block = *new Block;  // never destroyed: a stream may run until the process has ended
Thread* current = nullptr;
std::mt19937& order = *new std::mt19937(1);
const char* name = "?";

[[noreturn]] void stop(const char* what, int warp) {
  std::fprintf(stderr, "[simt] %s: %s in block (%lld, %lld), warp %d\n", name, what, static_cast<long long>(block.x),
               static_cast<long long>(block.y), warp);
  const Thread* told = nullptr;
  for (const auto& thread : block.threads) {
    if (told && told->wait == thread->wait && told->site == thread->site) continue;
    told = thread.get();
    std::fprintf(stderr, "  from thread %d on: %s", told->index, told->wait == Wait::kDone ? "ended" : told->operation);
    if (told->wait != Wait::kDone) std::fprintf(stderr, " at %s:%d", told->site.file, told->site.line);
    std::fprintf(stderr, "\n");
  }
  describe_barriers();
  std::abort();
}

void run_thread(void* argument) {
  auto* const self = static_cast<Thread*>(argument);
  for (;;) {
    (*block.body)();
    self->wait = Wait::kDone;
    self->fiber->suspend();
  }
}

void meet(Wait wait, const char* operation, Site site) {
  Thread* const self = current;
  self->wait = wait;
  self->operation = operation;
  self->site = site;
  self->fiber->suspend();
}

Thread& lane(int warp, int index) { return *block.threads[warp * kWarp + index]; }

bool can_go_on(const Thread& thread) {
  return thread.wait == Wait::kNothing || (thread.wait == Wait::kCount && *thread.counter >= thread.least);
}
bool can_go_on(int warp) {
  if (lane(warp, 0).wait == Wait::kNothing) return true;
  if (block.counting == 0) return false;
  for (int i = 0; i < kWarp; ++i) {
    if (can_go_on(lane(warp, i))) return true;
  }
  return false;
}

/// All lanes of the warp wait: does what they wait for together, unless that is the block.
void settle(int warp) {
  const Thread& first = lane(warp, 0);
  for (int i = 0; i < kWarp && block.counting > 0; ++i) {
    if (lane(warp, i).wait == Wait::kCount) return;
  }
  for (int i = 1; i < kWarp; ++i) {
    const Thread& other = lane(warp, i);
    if (other.wait != first.wait) stop("lanes of a warp in different operations", warp);
    if (other.wait == Wait::kDone) continue;
    if (!(other.site == first.site)) stop("lanes of a warp in different operations", warp);
  }
  if (first.wait != Wait::kWarp) return;
  if (first.exchange) {
    void* lanes[kWarp];
    for (int i = 0; i < kWarp; ++i) lanes[i] = lane(warp, i).own;
    first.exchange(lanes);
  }
  for (int i = 0; i < kWarp; ++i) lane(warp, i).wait = Wait::kNothing;
}

void run_warp(int warp) {
  int lanes[kWarp];
  for (int i = 0; i < kWarp; ++i) lanes[i] = i;
  std::shuffle(lanes, lanes + kWarp, order);
  for (int i : lanes) {
    current = &lane(warp, i);
    if (can_go_on(*current)) current->fiber->resume();
  }
  current = nullptr;
  settle(warp);
}

/// Every warp waits: the barrier opens if all threads are there.
bool open_barrier() {
  const Thread& first = *block.threads[0];
  block.any = false;
  for (const auto& thread : block.threads) {
    if (thread->wait == Wait::kCount) stop("a deadlock", thread->index / kWarp);
    if (thread->wait != first.wait || (thread->wait != Wait::kDone && !(thread->site == first.site))) {
      stop("a barrier that not all threads reach", thread->index / kWarp);
    }
    block.any = block.any || thread->flag;
  }
  if (first.wait == Wait::kDone) return false;
  show_writes();
  for (const auto& thread : block.threads) thread->wait = Wait::kNothing;
  return true;
}

void run_block() {
  const int warps = block.extent.threads / kWarp;
  block.shared.clear();
  block.dynamic.assign(block.extent.shared_bytes, static_cast<char>(kPoison));
  for (const auto& thread : block.threads) {
    thread->wait = Wait::kNothing;
    thread->flag = false;
    thread->open.clear();
    thread->groups.clear();
  }
  begin_hopper();
  // Either every warp is as likely to be next, or the first of a list runs as far as it can. Copies in bulk land in
  // between, or only when nobody can go on.
  const bool even = order() % 2, early = order() % 2;
  std::vector<int> list(warps);
  for (int i = 0; i < warps; ++i) list[i] = i;
  do {
    std::shuffle(list.begin(), list.end(), order);
    for (;;) {
      std::vector<int> ready;
      for (int warp : list) {
        if (can_go_on(warp)) ready.push_back(warp);
      }
      if ((ready.empty() || (early && order() % 4 == 0)) && land_copy(order())) continue;
      if (ready.empty()) break;
      run_warp(even ? ready[order() % ready.size()] : ready[0]);
    }
  } while (open_barrier());
  end_hopper();
}

}  // namespace

void set_seed(uint32_t seed) { order.seed(seed); }
void set_name(const char* kernel) { name = kernel; }

void launch(const Extent& extent, const std::function<void()>& body) {
  block.extent = extent;
  block.body = &body;
  if (extent.threads <= 0 || extent.threads > 1024 || extent.threads % kWarp != 0) {
    std::fprintf(stderr, "[simt] %s: a block of %d threads\n", name, extent.threads);
    std::abort();
  }
  while (static_cast<int>(block.threads.size()) < extent.threads) {
    auto thread = std::make_unique<Thread>();
    thread->index = static_cast<int>(block.threads.size());
    thread->fiber = std::make_unique<Fiber>(run_thread, thread.get());
    block.threads.push_back(std::move(thread));
  }
  block.threads.resize(extent.threads);
  for (block.y = 0; block.y < extent.blocks_y; ++block.y) {
    for (block.x = 0; block.x < extent.blocks_x; ++block.x) run_block();
  }
}

void Queue::push(std::function<void()> work) { items_.push_back({name, std::move(work)}); }

void Queue::push(const Queue& other) { items_.insert(items_.end(), other.items_.begin(), other.items_.end()); }

void Queue::run(size_t place) {
  const char* const outer = name;
  const size_t count = std::min(items_.size(), place > done_ ? place - done_ : 0);
  const std::vector<Item> now(std::make_move_iterator(items_.begin()), std::make_move_iterator(items_.begin() + count));
  items_.erase(items_.begin(), items_.begin() + count);
  done_ += count;
  for (const Item& item : now) {
    name = item.name;
    item.work();
  }
  name = outer;
}

void launch_on(void* queue, const Extent& extent, std::function<void()> thread) {
  if (!queue) return launch(extent, thread);
  static_cast<Queue*>(queue)->push([extent, thread = std::move(thread)] { launch(extent, thread); });
}

int thread_index() { return current->index; }
int64_t block_x() { return block.x; }
int64_t block_y() { return block.y; }
const Extent& extent() { return block.extent; }

void* shared_memory(const void* tag, size_t bytes) {
  std::vector<char>& memory = block.shared[tag];
  if (memory.empty()) memory.assign(bytes, static_cast<char>(kPoison));
  return memory.data();
}
void* dynamic_shared() { return block.dynamic.data(); }

void sync_block(Site site) { meet(Wait::kBlock, "sync_block", site); }

bool any_of_block(bool value, Site site) {
  current->flag = value;
  meet(Wait::kBlock, "any_of_block", site);
  current->flag = false;
  return block.any;
}

void stop(const char* what) { stop(what, current ? current->index / kWarp : 0); }

void pause() {
  static const int64_t passed = 0;
  current->counter = &passed;
  current->least = 0;
  ++block.counting;
  meet(Wait::kCount, "pause", {"", 0});
  --block.counting;
  current->wait = Wait::kNothing;
}

void wait_until(const char* operation, Site site, const int64_t* counter, int64_t least) {
  if (*counter >= least) return;
  current->counter = counter;
  current->least = least;
  ++block.counting;
  meet(Wait::kCount, operation, site);
  --block.counting;
  current->wait = Wait::kNothing;
}

void collective(const char* operation, Exchange exchange, void* own, Site site) {
  current->exchange = exchange;
  current->own = own;
  meet(Wait::kWarp, operation, site);
}

void sync_warp(Site site) { collective("sync_warp", nullptr, nullptr, site); }

uint32_t ballot(bool value, Site site) {
  uint32_t vote = value;
  const auto count = [](void* const* lanes) {
    uint32_t votes = 0;
    for (int i = 0; i < kWarp; ++i) votes |= *static_cast<uint32_t*>(lanes[i]) << i;
    for (int i = 0; i < kWarp; ++i) *static_cast<uint32_t*>(lanes[i]) = votes;
  };
  collective("ballot", count, &vote, site);
  return vote;
}

void shuffle_xor(void* value, size_t bytes, int mask, Site site) {
  struct Own {
    void* value;
    size_t bytes;
    int mask;
  } own{value, bytes, mask};
  const auto exchange = [](void* const* lanes) {
    char values[kWarp][16];
    const auto of = [&](int i) { return *static_cast<const Own*>(lanes[i]); };
    for (int i = 0; i < kWarp; ++i) std::memcpy(values[i], of(i).value, of(i).bytes);
    for (int i = 0; i < kWarp; ++i) std::memcpy(of(i).value, values[i ^ of(i).mask], of(i).bytes);
  };
  collective("shuffle_xor", exchange, &own, site);
}

const void* aligned(const void* p, size_t bytes) {
  if (reinterpret_cast<uintptr_t>(p) % bytes != 0) stop("an access to an unaligned address", current->index / kWarp);
  return p;
}

void copy_async(void* to, const void* from, size_t bytes, bool wanted) {
  if (reinterpret_cast<uintptr_t>(to) % bytes != 0 || (wanted && reinterpret_cast<uintptr_t>(from) % bytes != 0)) {
    stop("copy_async with unaligned addresses", current->index / kWarp);
  }
  std::memset(to, kPoison, bytes);
  current->open.push_back({to, from, bytes, wanted});
}

void commit_copies() {
  current->groups.push_back(std::move(current->open));
  current->open.clear();
}

void wait_copies(size_t pending) {
  while (current->groups.size() > pending) {
    for (const Copy& copy : current->groups.front()) {
      if (copy.wanted) {
        std::memcpy(copy.to, copy.from, copy.bytes);
      } else {
        std::memset(copy.to, 0, copy.bytes);
      }
    }
    current->groups.pop_front();
  }
}

}  // namespace heddle::simt
