#include "cpu/isa.h"

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <iterator>
#include <string>

#include "core/error.h"

#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif
#if defined(__aarch64__) && defined(__linux__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif
#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(_M_X64)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace heddle::cpu {
namespace {

#if defined(__aarch64__) || defined(_M_ARM64)
constexpr const char* kNames[] = {"generic", "neon"};
constexpr const char* kChoice = "generic or neon";
#else
constexpr const char* kNames[] = {"generic", "avx2", "avx512", "amx"};
constexpr const char* kChoice = "generic, avx2, avx512 or amx";
#endif

/// The best level that this build has.
#if defined(HEDDLE_HAVE_NEON)
constexpr Isa kBuilt = Isa::kNeon;
#elif defined(HEDDLE_HAVE_AMX)
constexpr Isa kBuilt = Isa::kAmx;
#elif defined(HEDDLE_HAVE_AVX512)
constexpr Isa kBuilt = Isa::kAvx512;
#elif defined(HEDDLE_HAVE_AVX2)
constexpr Isa kBuilt = Isa::kAvx2;
#else
constexpr Isa kBuilt = Isa::kGeneric;
#endif

#if defined(__x86_64__)
/// Conversions of float16: not among what __builtin_cpu_supports knows everywhere.
bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C) != 0;
}

#if defined(HEDDLE_AMX_EMULATED)
bool has_amx() {
  amx::emulate_tiles();
  return true;
}
#else
/// AMX needs tiles with bf16 and int8 products, and the kernel's leave to keep tile state (Linux: arch_prctl).
bool has_amx() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
  constexpr unsigned kBf16 = 1u << 22, kTile = 1u << 24, kInt8 = 1u << 25;
  if ((d & (kBf16 | kTile | kInt8)) != (kBf16 | kTile | kInt8)) return false;
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif
#endif

#if defined(_M_X64) && !defined(__x86_64__)
/// As Intel's manual has it (volume 1, sections 14.3 and 15.2): the processor has the instructions, and the system
/// keeps the registers.
Isa best_of_machine() {
  int leaf[4];
  const auto has = [&](int word, std::initializer_list<int> bits) {
    return std::all_of(bits.begin(), bits.end(), [&](int bit) { return (leaf[word] >> bit & 1) != 0; });
  };
  __cpuid(leaf, 0);
  if (leaf[0] < 7) return Isa::kGeneric;
  __cpuid(leaf, 1);
  const bool fma_f16c_saved = has(2, {12, 29, 27});
  const uint64_t saved = fma_f16c_saved ? _xgetbv(0) : 0;
  __cpuidex(leaf, 7, 0);
  if ((saved & 0x06) != 0x06 || !has(1, {5, 8})) return Isa::kGeneric;         // AVX2, BMI2
  if ((saved & 0xe6) != 0xe6 || !has(1, {16, 17, 30, 31})) return Isa::kAvx2;  // AVX-512 F, DQ, BW, VL
  return Isa::kAvx512;
}
#else
Isa best_of_machine() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2") ||
      !has_f16c()) {
    return Isa::kGeneric;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl")) {
    return Isa::kAvx2;
  }
  return has_vnni() && has_amx() ? Isa::kAmx : Isa::kAvx512;  // VNNI: for few rows of quantized weights
#elif defined(__aarch64__)
  return Isa::kNeon;
#else
  return Isa::kGeneric;
#endif
}
#endif

Isa choose() {
  const Isa best = best_isa();
  const char* wanted = std::getenv("HEDDLE_CPU");
  if (!wanted || !*wanted) return best;
  for (size_t level = 0; level < std::size(kNames); ++level) {
    if (std::string(wanted) != kNames[level]) continue;
    if (static_cast<Isa>(level) > best) {
      throw_range_error("[heddle] HEDDLE_CPU=", wanted, " but this machine and build have no more than ",
                        name_of(best));
    }
    return static_cast<Isa>(level);
  }
  throw_range_error("[heddle] HEDDLE_CPU must be ", kChoice, " but got \"", wanted, "\"");
}

}  // namespace

const char* name_of(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool has_vnni() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx512vnni");
#elif defined(_M_X64)
  int leaf[4];
  __cpuidex(leaf, 7, 0);
  return (leaf[2] >> 11 & 1) != 0;
#else
  return false;
#endif
}

bool has_dotprod() {
#if defined(__ARM_FEATURE_DOTPROD)  // every processor that this build is for
  return true;
#elif defined(__aarch64__) && defined(__linux__)
  return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0;
#else
  return false;
#endif
}

Isa best_isa() {
  static const Isa best = std::min(kBuilt, best_of_machine());
  return best;
}

Isa isa() {
  static const Isa chosen = choose();
  return chosen;
}

}  // namespace heddle::cpu
