// What this machine can do at most: multiply-adds in registers, and memory read and copied. `bench/ceilings.mjs`
// compiles and runs it.
//
//   ceilings <name> [threads] [bytes]  one measurement, or `all`; bytes is the buffer of `read` and `copy`
//
// One JSON object a line. A measurement is many windows of some milliseconds: on a machine shared with others the best
// decile is what the machine can do, and the median what it did.
//
// c++ -O3 -std=c++17 -pthread ceilings.cc -o ceilings
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#ifdef __x86_64__
#include <immintrin.h>
#endif
#ifdef __linux__
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace {

constexpr int64_t kTurns = 200'000;             // of a loop of multiply-adds in a window
constexpr int64_t kWindowBytes = 32ll << 20;    // of a thread
constexpr int64_t kBufferBytes = 1024ll << 20;  // no cache holds it, even where many machines share a large one
constexpr int kWindows = 60;

volatile uint64_t sink;  // takes what loops compute, so that they cannot be left out

template <typename T>
[[gnu::always_inline]] inline uint64_t checksum(const T& value) {
  uint64_t words[sizeof(T) / 8], total = 0;
  std::memcpy(words, &value, sizeof(T));
  for (const uint64_t word : words) total += word;
  return total;
}

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Seconds that `body(thread)` takes on all threads at once; the clock runs from when all are there.
double together(int threads, const std::function<void(int)>& body) {
  std::atomic<int> ready{0};
  std::atomic<bool> go{false};
  std::vector<double> ends(threads);
  std::vector<std::thread> team;
  for (int t = 0; t < threads; ++t) {
    team.emplace_back([&, t] {
      ++ready;
      while (!go) std::this_thread::yield();
      body(t);
      ends[t] = seconds();
    });
  }
  while (ready < threads) std::this_thread::yield();
  const double began = seconds();
  go = true;
  for (std::thread& one : team) one.join();
  return *std::max_element(ends.begin(), ends.end()) - began;
}

// Twelve independent sums hide the latency of two units of four or five cycles, and fit into sixteen registers with
// their operands. Vector is of the width that the calling function is compiled for.
#ifdef __x86_64__
constexpr int kSums = 12;
#else
constexpr int kSums = 24;  // four units, and twice the registers
#endif

template <typename Vector, typename Step>
[[gnu::always_inline]] inline void accumulate(Step step) {
  Vector sums[kSums];
  // Each begins with something of its own that no compiler knows, or one of them would do for all.
  for (int i = 0; i < kSums; ++i) std::memset(&sums[i], static_cast<int>(sink & 1) + i, sizeof sums[i]);
  for (int64_t turn = 0; turn < kTurns; ++turn) {
#pragma GCC unroll 24
    for (int i = 0; i < kSums; ++i) step(sums[i]);
  }
  sink = checksum(sums);
}

template <typename T, int kBytes>
struct Lanes {
  typedef T Vector __attribute__((vector_size(kBytes)));
};

/// Products of the compiler's vector type: -ffp-contract=fast makes one instruction of each multiply-add.
template <int kBytes>
[[gnu::always_inline]] inline void multiply_add() {
  using Vector = typename Lanes<float, kBytes>::Vector;
  const float seed = static_cast<float>(sink & 1);
  const Vector factor = Vector{} + (0.5f + seed), term = Vector{} + (0.25f - seed);
  accumulate<Vector>([&](Vector& sum) { sum = sum * factor + term; });
}

/// A loop in registers: its name, the unit and the operations of one window of one thread.
struct Loop {
  const char* name;
  const char* unit;
  double operations;
  void (*run)();
};

double operations_of(int per_instruction) { return static_cast<double>(per_instruction) * kSums * kTurns; }

#ifdef __x86_64__
[[gnu::target("avx512f")]] void fma_avx512() { multiply_add<64>(); }
[[gnu::target("avx2,fma")]] void fma_avx2() { multiply_add<32>(); }

[[gnu::target("avx512f,avx512bf16")]] void dot_bf16() {
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  accumulate<__m512>([&](__m512 & sum)
                         __attribute__((target("avx512f,avx512bf16"))) { sum = _mm512_dpbf16_ps(sum, ones, ones); });
}
[[gnu::target("avx512f,avx512vnni")]] void dot_int8() {
  const __m512i ones = _mm512_set1_epi8(1);
  accumulate<__m512i>([&](__m512i & sum) __attribute__((target("avx512f,avx512vnni"))) {
    sum = _mm512_dpbusd_epi32(sum, ones, ones);
  });
}

/// The system lets a process use the tiles of AMX once it has asked.
bool may_use_tiles() {
#ifdef __linux__
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}

// Assembly, since compilers that know AVX-512 need not know AMX. Four products share four tiles of operands.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
constexpr TileConfiguration kTiles;
constexpr int64_t kTileTurns = kTurns / 4;  // each takes longer

template <bool kInt8>
void tile_products() {
  asm volatile("ldtilecfg %0" : : "m"(kTiles));
  asm volatile("tilezero %tmm0\ntilezero %tmm1\ntilezero %tmm2\ntilezero %tmm3");
  asm volatile("tilezero %tmm4\ntilezero %tmm5\ntilezero %tmm6\ntilezero %tmm7");
  for (int64_t turn = 0; turn < kTileTurns; ++turn) {
    if constexpr (kInt8) {
      asm volatile("tdpbssd %tmm6, %tmm4, %tmm0\ntdpbssd %tmm7, %tmm4, %tmm1");
      asm volatile("tdpbssd %tmm6, %tmm5, %tmm2\ntdpbssd %tmm7, %tmm5, %tmm3");
    } else {
      asm volatile("tdpbf16ps %tmm6, %tmm4, %tmm0\ntdpbf16ps %tmm7, %tmm4, %tmm1");
      asm volatile("tdpbf16ps %tmm6, %tmm5, %tmm2\ntdpbf16ps %tmm7, %tmm5, %tmm3");
    }
  }
  asm volatile("tilerelease");
}

double tile_operations(int per_instruction) { return 4.0 * per_instruction * kTileTurns; }
#else
void fma_plain() { multiply_add<16>(); }
#endif

std::vector<Loop> loops_of_this_machine() {
  std::vector<Loop> loops;
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) {
    loops.push_back({"fma-float32", "GFLOP/s", operations_of(32), fma_avx512});
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    loops.push_back({"fma-float32", "GFLOP/s", operations_of(16), fma_avx2});
  }
  if (__builtin_cpu_supports("avx512bf16")) {
    loops.push_back({"dot-bfloat16", "GFLOP/s", operations_of(64), dot_bf16});
  }
  if (__builtin_cpu_supports("avx512vnni")) loops.push_back({"dot-int8", "GOP/s", operations_of(128), dot_int8});
  if (__builtin_cpu_supports("amx-tile") && may_use_tiles()) {
    loops.push_back({"tile-bfloat16", "GFLOP/s", tile_operations(2 * 16 * 16 * 32), tile_products<false>});
    loops.push_back({"tile-int8", "GOP/s", tile_operations(2 * 16 * 16 * 64), tile_products<true>});
  }
#else
  loops.push_back({"fma-float32", "GFLOP/s", operations_of(8), fma_plain});
#endif
  return loops;
}

/// Sums what lies at `from`, in streams far apart: a core asks memory for more at once than along a single one.
template <int kBytes>
[[gnu::always_inline]] inline void read_streams(const char* from, int64_t bytes) {
  using Vector = typename Lanes<uint64_t, kBytes>::Vector;
  constexpr int kStreams = 4, kPerLine = 64 / kBytes;
  const int64_t stride = bytes / kStreams / 64 * 64;
  Vector sums[kStreams][kPerLine] = {};
  for (int64_t at = 0; at < stride; at += 64) {
#pragma GCC unroll 4
    for (int stream = 0; stream < kStreams; ++stream) {
#pragma GCC unroll 4
      for (int part = 0; part < kPerLine; ++part) {
        sums[stream][part] += *reinterpret_cast<const Vector*>(from + stream * stride + at + part * kBytes);
      }
    }
  }
  sink = checksum(sums);
}

using Reader = void (*)(const char*, int64_t);
#ifdef __x86_64__
[[gnu::target("avx512f")]] void read_avx512(const char* from, int64_t bytes) { read_streams<64>(from, bytes); }
[[gnu::target("avx2")]] void read_avx2(const char* from, int64_t bytes) { read_streams<32>(from, bytes); }
#endif
void read_plain(const char* from, int64_t bytes) { read_streams<16>(from, bytes); }

Reader reader_of_this_machine() {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f")) return read_avx512;
  if (__builtin_cpu_supports("avx2")) return read_avx2;
#endif
  return read_plain;
}

/// Memory on large pages where the system has them, touched, so that every page is there.
char* allocate(int64_t bytes) {
  constexpr int64_t kLargePage = 2 << 20;
  const int64_t rounded = (bytes + kLargePage - 1) / kLargePage * kLargePage;
  char* memory = static_cast<char*>(std::aligned_alloc(kLargePage, rounded));
  if (memory == nullptr) {
    std::fprintf(stderr, "no memory for a buffer of %lld bytes\n", static_cast<long long>(bytes));
    std::exit(1);
  }
#ifdef __linux__
  madvise(memory, rounded, MADV_HUGEPAGE);
#endif
  std::memset(memory, 1, rounded);
  return memory;
}

void report(const char* name, const char* unit, int threads, std::vector<double> rates) {
  std::sort(rates.begin(), rates.end());
  std::printf("{\"name\":\"%s\",\"threads\":%d,\"unit\":\"%s\",\"best\":%.2f,\"median\":%.2f}\n", name, threads, unit,
              rates[rates.size() * 9 / 10] / 1e9, rates[rates.size() / 2] / 1e9);
  std::fflush(stdout);
}

void measure_loop(const Loop& loop, int threads) {
  std::vector<double> rates;
  for (int window = 0; window < kWindows; ++window) {
    rates.push_back(threads * loop.operations / together(threads, [&](int) { loop.run(); }));
  }
  report(loop.name, loop.unit, threads, rates);
}

/// Windows go round the buffer, so that none reads again what the one before has read, if the buffer is the larger.
void measure_memory(bool copies, int threads, int64_t bytes) {
  char* const memory = allocate(bytes);
  const Reader read = reader_of_this_machine();
  const int64_t share = bytes / threads / 4096 * 4096;  // of a thread
  const int64_t window = std::min(share, kWindowBytes), windows_of_share = share / window;
  std::vector<double> rates;
  for (int64_t i = 0; i < std::max<int64_t>(kWindows, 2 * windows_of_share); ++i) {
    const double taken = together(threads, [&](int t) {
      char* const at = memory + t * share + (i % windows_of_share) * window;
      if (copies) {
        std::memcpy(at + window / 2, at, window / 2);
        sink = at[window - 1];
      } else {
        read(at, window);
      }
    });
    if (i >= windows_of_share) rates.push_back(threads * window / taken);
  }
  std::free(memory);
  report(copies ? "copy" : "read", "GB/s", threads, rates);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "all";
  const int threads = argc > 2 ? std::max(1, std::atoi(argv[2])) : 1;
  const int64_t bytes = argc > 3 ? std::atoll(argv[3]) : kBufferBytes;
  bool is_known = false;
  const auto wants = [&](const char* one) { return (name == "all" || name == one) && (is_known = true); };
  for (const Loop& loop : loops_of_this_machine()) {
    if (wants(loop.name)) measure_loop(loop, threads);
  }
  if (wants("read")) measure_memory(false, threads, bytes);
  if (wants("copy")) measure_memory(true, threads, bytes);
  if (is_known) return 0;
  std::fprintf(stderr, "this machine has no %s\n", name.c_str());
  return 1;
}
