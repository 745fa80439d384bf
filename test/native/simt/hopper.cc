#include "simt/hopper.h"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <functional>
#include <map>
#include <utility>
#include <vector>

// Barriers, copies in bulk and what products see of shared memory.

namespace heddle::simt {
namespace {

constexpr int kPoison = 0xff;
/// Of the first byte of dynamic shared memory: not where swizzling begins.
constexpr uint32_t kFirstAddress = 1024 + 48;

/// Who has arrived at a barrier, and how many of them with what they wrote fenced.
struct Arrivals {
  int threads = 0;
  int fenced = 0;
};

struct Phases {
  int count;  // arrivals that end a phase
  bool fenced = false;
  int64_t ended = 0;   // phases
  int64_t bytes = 0;   // expected and not yet there
  int64_t copied = 0;  // phases up to the last one that got bytes
  Arrivals arrivals;
  std::map<int, int64_t> passed;  // by thread: phases that it knows to have ended
};

struct Copy {
  char* to;
  size_t bytes;
  void* barrier;
  std::function<void(char*)> read;  // what is to be there
};

struct Named {
  int64_t turns = 0;
  int threads = 0;  // of the turn that is under way
  Arrivals arrivals;
};

struct State {
  std::map<void*, Phases> barriers;
  std::map<int, Named> named;
  std::vector<Copy> copies;
  std::vector<bool> fenced;  // by thread: it has called fence_async since it arrived last
  std::vector<char> view;    // of dynamic shared memory, as products and copies see it
};
State& state = *new State;

Phases& phases_of(void* barrier) {
  const auto found = state.barriers.find(barrier);
  if (found == state.barriers.end()) stop("a barrier that was not started");
  return found->second;
}

void count_arrival(Arrivals& arrivals, int thread) {
  ++arrivals.threads;
  arrivals.fenced += state.fenced[thread];
  state.fenced[thread] = false;
}
/// All are there: what they have written is seen if all of them fenced it.
void finish(Arrivals& arrivals) {
  if (arrivals.fenced == arrivals.threads) {
    std::memcpy(state.view.data(), dynamic_shared(), state.view.size());
  }
  arrivals = {};
}

void end_phase_if_due(Phases& phases) {
  if (phases.arrivals.threads < phases.count || phases.bytes != 0) return;
  finish(phases.arrivals);
  ++phases.ended;
}

/// Whether [to, to + bytes) is dynamic shared memory; then where.
bool is_dynamic(const void* to, size_t bytes, size_t& at) {
  const auto* const first = static_cast<const char*>(dynamic_shared());
  const auto* const p = static_cast<const char*>(to);
  if (p < first || p + bytes > first + state.view.size()) return false;
  at = static_cast<size_t>(p - first);
  return true;
}

void start_copy(Copy copy) {
  if (!phases_of(copy.barrier).fenced) stop("a copy in bulk to a barrier that was started without a fence");
  size_t at;
  std::memset(copy.to, kPoison, copy.bytes);
  if (is_dynamic(copy.to, copy.bytes, at)) std::memset(&state.view[at], kPoison, copy.bytes);
  state.copies.push_back(std::move(copy));
}

}  // namespace

void begin_hopper() {
  state = {};
  state.fenced.assign(extent().threads, false);
  state.view.assign(extent().shared_bytes, static_cast<char>(kPoison));
  begin_products();
}

void end_hopper() {
  for (const auto& [barrier, phases] : state.barriers) {
    int64_t passed = 0;
    for (const auto& [thread, phase] : phases.passed) passed = std::max(passed, phase);
    if (passed < phases.copied) stop("a copy in bulk that nobody waited for");
  }
  end_products();
}

bool land_copy(uint32_t choice) {
  if (state.copies.empty()) return false;
  const size_t chosen = choice % state.copies.size();
  const Copy copy = state.copies[chosen];
  state.copies.erase(state.copies.begin() + static_cast<int64_t>(chosen));
  copy.read(copy.to);
  size_t at;
  if (is_dynamic(copy.to, copy.bytes, at)) std::memcpy(&state.view[at], copy.to, copy.bytes);
  Phases& phases = phases_of(copy.barrier);
  phases.bytes -= static_cast<int64_t>(copy.bytes);
  phases.copied = phases.ended + 1;
  end_phase_if_due(phases);
  return true;
}

void show_writes() {
  Arrivals all;
  for (int thread = 0; thread < extent().threads; ++thread) count_arrival(all, thread);
  finish(all);
}

void describe_barriers() {
  for (const auto& [barrier, phases] : state.barriers) {
    if (phases.arrivals.threads == 0 && phases.bytes == 0) continue;
    std::fprintf(stderr, "  a barrier after %lld phases: %d of %d arrived, %lld bytes expected and not copied\n",
                 static_cast<long long>(phases.ended), phases.arrivals.threads, phases.count,
                 static_cast<long long>(phases.bytes));
  }
  for (const auto& [id, named] : state.named) {
    if (named.arrivals.threads == 0) continue;
    std::fprintf(stderr, "  barrier %d: %d of %d threads\n", id, named.arrivals.threads, named.threads);
  }
}

void start_barrier(void* barrier, int arrivals) {
  Phases phases{};
  phases.count = arrivals;
  state.barriers[barrier] = phases;
}

void fence_barriers() {
  for (auto& [barrier, phases] : state.barriers) phases.fenced = true;
}

void arrive(void* barrier, int bytes) {
  Phases& phases = phases_of(barrier);
  if (phases.arrivals.threads == phases.count) stop("more arrivals at a barrier than it was started with");
  phases.bytes += bytes;
  count_arrival(phases.arrivals, thread_index());
  const int64_t before = phases.ended;
  end_phase_if_due(phases);
  if (phases.ended > before) pause();  // whoever waited may go on before this thread does
}

void wait_phase(void* barrier, int parity, Site site) {
  Phases& phases = phases_of(barrier);
  // The phase under way, or the one before.
  const int64_t phase = phases.ended % 2 == parity ? phases.ended : phases.ended - 1;
  const auto [passed, is_first] = phases.passed.insert({thread_index(), -1});
  if (!is_first && phase < passed->second) stop("a thread waits again for a phase that it has passed");
  passed->second = phase + 1;
  wait_until("wait", site, &phases.ended, phase + 1);
}

void copy_bulk(void* to, const void* from, int bytes, void* barrier) {
  aligned(to, 16);
  aligned(from, 16);
  if (bytes <= 0 || bytes % 16 != 0) stop("a copy in bulk that is not a multiple of 16 bytes");
  const auto count = static_cast<size_t>(bytes);
  start_copy({static_cast<char*>(to), count, barrier, [=](char* there) { std::memcpy(there, from, count); }});
}

void copy_box(void* to, const BoxSource& source, const BoxPlace& place, void* barrier) {
  aligned(source.data, 16);
  if (shared_address(to) % 1024 != 0) stop("a copy of a box to where swizzling does not begin");
  if ((source.steps[1] | source.steps[2]) % 8 != 0) stop("a copy of boxes whose steps are not multiples of 16 bytes");
  const auto read = [=](char* there) {
    auto* const halves = reinterpret_cast<uint16_t*>(there);
    const auto* const data = static_cast<const uint16_t*>(source.data);
    for (int64_t line = 0; line < source.lines; ++line) {
      for (int64_t i = 0; i < 64; ++i) {
        const int64_t at[] = {place.at[0] + i, place.at[1] + line, place.at[2]};
        bool inside = true;
        int64_t from = 0;
        for (int axis = 0; axis < 3; ++axis) {
          inside = inside && at[axis] >= 0 && at[axis] < source.sizes[axis];
          from += at[axis] * source.steps[axis];
        }
        halves[line * 64 + ((i / 8) ^ (line % 8)) * 8 + i % 8] = inside ? data[from] : uint16_t{0};
      }
    }
  };
  start_copy({static_cast<char*>(to), static_cast<size_t>(source.lines) * 128, barrier, read});
}

void fence_async() { state.fenced[thread_index()] = true; }

void meet_named(int id, int threads, bool waits, Site site) {
  struct Own {
    int id, threads;
    int thread;
  } own{id, threads, thread_index()};
  const auto arrive_all = [](void* const* lanes) {
    for (int i = 0; i < 32; ++i) {
      const Own& lane = *static_cast<const Own*>(lanes[i]);
      Named& named = state.named[lane.id];
      if (named.arrivals.threads > 0 && named.threads != lane.threads) {
        stop("a named barrier that threads meet with different numbers");
      }
      named.threads = lane.threads;
      count_arrival(named.arrivals, lane.thread);
      if (named.arrivals.threads < named.threads) continue;
      finish(named.arrivals);
      ++named.turns;
    }
  };
  const int64_t turn = state.named[id].turns;
  collective(waits ? "sync_named" : "arrive_named", arrive_all, &own, site);
  if (waits) wait_until("sync_named", site, &state.named[id].turns, turn + 1);
}

void change_registers(int count, Site site) {
  if (count < 24 || count > 256 || count % 8 != 0) stop("a number of registers that setmaxnreg does not take");
  collective("setmaxnreg", nullptr, nullptr, site);
}

uint32_t shared_address(const void* p) {
  size_t at = 0;
  if (!is_dynamic(p, 0, at)) stop("an address that is not in dynamic shared memory");
  return kFirstAddress + static_cast<uint32_t>(at);
}

const char* async_view(uint32_t address, size_t bytes) {
  const size_t at = address - size_t{kFirstAddress};
  if (address < kFirstAddress || at + bytes > state.view.size()) stop("a product beyond dynamic shared memory");
  const char* const seen = &state.view[at];
  if (std::memcmp(seen, static_cast<const char*>(dynamic_shared()) + at, bytes) != 0) {
    stop("a product of shared memory that was written and not fenced");
  }
  return seen;
}

}  // namespace heddle::simt
