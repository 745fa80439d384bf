#pragma once

#include <cstdint>

namespace heddle::cpu::HEDDLE_ISA {

/// Asks memory for numbers that are read next: what is computed meanwhile is longer than processors look ahead.
template <typename T>
inline void prefetch(const T* x, int64_t count) {
#if defined(__GNUC__)
  constexpr int64_t kLine = 64 / sizeof(T);
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(x + i);
#else
  (void)x, (void)count;
#endif
}

}  // namespace heddle::cpu::HEDDLE_ISA
