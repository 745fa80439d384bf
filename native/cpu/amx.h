#pragma once

#include <cstdint>

// The tiles of AMX: eight registers of at most 16 rows of 64 bytes, and the product of two of them. Functions are named
// as their instructions are.
//
//   TileScope                            tiles may be used as long as it lives, on the thread that made it
//   tilezero<T>()                        T = 0
//   tileloadd<T, kOffset>(from, stride)  T = 16 rows of 64 bytes, `stride` bytes apart; the first lies
//                                        kOffset bytes behind `from`
//   tilestored<T, kOffset>(to, stride)   the reverse
//   tdpbssd<C, A, B>()                   C [16, 16] += A [16, 64] · B [64, 16] in int32: A is int8, and so is B, whose
//                                        row i holds rows 4i to 4i + 3 of each column
//   tdpbf16ps<C, A, B>()                 C [16, 16] += A [16, 32] · B [32, 16] in float32: A is bfloat16, and so is B,
//                                        whose row i holds pairs, rows 2i and 2i + 1 of each column
//
// All tiles have their full shape, whatever rows a problem has: operands are filled up instead. So there is one
// configuration. It is state of the thread that the system saves with 8 KiB of tiles at a switch for as long as it is
// loaded, and an idle core with tiles in use may sleep less deeply: a TileScope lives no longer than one task of a
// compute thread.

namespace heddle::cpu::HEDDLE_ISA {

/// What LDTILECFG reads: palette 1, eight tiles of 16 rows of 64 bytes.
struct TileConfiguration {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};
static_assert(sizeof(TileConfiguration) == 64);

// Assembly, not intrinsics: those of GCC 12 take numbers of tiles as text alone, and say of what they read too little
// to the compiler: 8 bytes of LDTILECFG's 64, so that it drops stores to the others, and nothing of TILELOADD's.

class TileScope {
 public:
  TileScope() {
    static constexpr TileConfiguration kConfiguration;
    asm volatile("ldtilecfg %0" : : "m"(kConfiguration));
  }
  ~TileScope() { asm volatile("tilerelease"); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

template <int T>
inline void tilezero() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}

template <int T, int kOffset = 0>
inline void tileloadd(const void* from, int64_t stride) {
  asm volatile("tileloadd %c3(%1,%2,1), %%tmm%c0" : : "i"(T), "r"(from), "r"(stride), "i"(kOffset) : "memory");
}

template <int T, int kOffset = 0>
inline void tilestored(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c0, %c3(%1,%2,1)" : : "i"(T), "r"(to), "r"(stride), "i"(kOffset) : "memory");
}

template <int C, int A, int B>
inline void tdpbssd() {
  static_assert(C != A && C != B && A != B);
  asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

template <int C, int A, int B>
inline void tdpbf16ps() {
  static_assert(C != A && C != B && A != B);
  asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
}

}  // namespace heddle::cpu::HEDDLE_ISA
