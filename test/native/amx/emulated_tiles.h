#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// The tiles of AMX on a processor that has none: the face of cpu/amx.h that tests use. What the processor refuses ends
// the process with a word why.

namespace heddle::cpu::HEDDLE_ISA {

struct EmulatedTiles {
  static constexpr int kRows = 16, kRowBytes = 64;
  bool configured = false;
  alignas(64) uint32_t tiles[8][kRows][kRowBytes / 4];
};

/// A thread's own, as on the processor.
inline EmulatedTiles& emulated_tiles() {
  static thread_local EmulatedTiles tiles;
  return tiles;
}

[[noreturn]] inline void tile_fault(const char* instruction, const char* why) {
  std::fprintf(stderr, "%s: %s\n", instruction, why);
  std::abort();
}

/// The tile, for an instruction that faults where no configuration is loaded.
template <int T>
inline uint32_t (*emulated_tile(const char* instruction))[16] {
  static_assert(T >= 0 && T < 8);
  if (!emulated_tiles().configured) tile_fault(instruction, "tiles are not configured on this thread");
  return emulated_tiles().tiles[T];
}

/// LDTILECFG zeroes all tiles, TILERELEASE forgets them. That a scope lies in another is no fault of the processor's,
/// but what the outer one then does is.
class TileScope {
 public:
  TileScope() {
    if (emulated_tiles().configured) tile_fault("ldtilecfg", "tiles are configured already");
    emulated_tiles() = {};
    emulated_tiles().configured = true;
  }
  ~TileScope() { emulated_tiles().configured = false; }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

template <int T>
inline void tilezero() {
  std::memset(emulated_tile<T>("tilezero"), 0, sizeof(EmulatedTiles::tiles[T]));
}

template <int T>
inline void tileloadd(const void* from, int64_t stride) {
  auto* tile = emulated_tile<T>("tileloadd");
  for (int row = 0; row < EmulatedTiles::kRows; ++row) {
    std::memcpy(tile[row], static_cast<const char*>(from) + row * stride, EmulatedTiles::kRowBytes);
  }
}

template <int T>
inline void tilestored(void* to, int64_t stride) {
  auto* tile = emulated_tile<T>("tilestored");
  for (int row = 0; row < EmulatedTiles::kRows; ++row) {
    std::memcpy(static_cast<char*>(to) + row * stride, tile[row], EmulatedTiles::kRowBytes);
  }
}

/// TDPBF16PS as Intel's manual has it (Software Developer's Manual, volume 2, "Operation"). A row's products are summed
/// apart from what C holds, those of even k and those of odd k in a chain of fused multiply-adds each; the two sums are
/// added, and then added to C. Each of these rounds to the nearest and of two to the even one, takes denormal operands
/// as zero and gives zero for a denormal result. Intel defines the latter two as MXCSR's bits of these names do them,
/// so the processor at hand does them: the caller sets them. No call is inlined, since the compiler does not know that
/// arithmetic depends on MXCSR.
[[gnu::noinline]] inline void emulate_tdpbf16ps(uint32_t (*c)[16], const uint32_t (*a)[16], const uint32_t (*b)[16]) {
  const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000u));
  for (int m = 0; m < EmulatedTiles::kRows; ++m) {
    __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
    for (int k = 0; k < EmulatedTiles::kRows; ++k) {
      const __m512i x = _mm512_set1_epi32(static_cast<int>(a[m][k])), y = _mm512_load_si512(b[k]);
      even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                             _mm512_castsi512_ps(_mm512_slli_epi32(y, 16)), even);
      odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                            _mm512_castsi512_ps(_mm512_and_si512(y, upper)), odd);
    }
    _mm512_store_ps(c[m], _mm512_add_ps(_mm512_load_ps(c[m]), _mm512_add_ps(even, odd)));
  }
}

template <int C, int A, int B>
inline void tdpbf16ps() {
  static_assert(C != A && C != B && A != B);
  constexpr unsigned kRoundToNearest = 0x0000, kNoTraps = 0x1F80, kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  const unsigned before = _mm_getcsr();
  _mm_setcsr(kRoundToNearest | kNoTraps | kFlushToZero | kDenormalsAreZero);
  emulate_tdpbf16ps(emulated_tile<C>("tdpbf16ps"), emulated_tile<A>("tdpbf16ps"), emulated_tile<B>("tdpbf16ps"));
  _mm_setcsr(before);
}

}  // namespace heddle::cpu::HEDDLE_ISA
