#pragma once

#include "amx/emulation.h"

// The face of cpu/amx.h for a processor without AMX.

namespace heddle::cpu::HEDDLE_ISA {

class TileScope {
 public:
  TileScope() {
    static constexpr TileConfiguration kConfiguration;
    EmulatedTiles::of_thread().configure(&kConfiguration);
  }
  ~TileScope() { EmulatedTiles::of_thread().release(); }
  TileScope(const TileScope&) = delete;
  TileScope& operator=(const TileScope&) = delete;
};

template <int T>
inline void tilezero() {
  EmulatedTiles::of_thread().zero(T);
}

template <int T>
inline void tileloadd(const void* from, int64_t stride) {
  EmulatedTiles::of_thread().load(T, from, stride);
}

template <int T>
inline void tilestored(void* to, int64_t stride) {
  EmulatedTiles::of_thread().store(T, to, stride);
}

template <int C, int A, int B>
inline void tdpbf16ps() {
  EmulatedTiles::of_thread().multiply(C, A, B);
}

}  // namespace heddle::cpu::HEDDLE_ISA
