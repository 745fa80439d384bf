#pragma once

#include "simt/hopper.h"

// The simulator's face of native/cuda/hopper.h.

#define HEDDLE_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace heddle::cuda {

inline uint32_t shared_address(const void* p) { return simt::shared_address(p); }

struct TensorMap {
  Box box;
};

struct alignas(8) Barrier {
  uint64_t bits;
};

inline void start_barrier(Barrier& barrier, int arrivals) { simt::start_barrier(&barrier, arrivals); }
inline void fence_barriers() { simt::fence_barriers(); }
inline void arrive(Barrier& barrier) { simt::arrive(&barrier, 0); }
inline void arrive_expecting(Barrier& barrier, int bytes) { simt::arrive(&barrier, bytes); }
inline void wait(Barrier& barrier, int parity, HEDDLE_SITE) { simt::wait_phase(&barrier, parity, {file, line}); }
inline void copy_bulk(void* to, const void* from, int bytes, Barrier& barrier) {
  simt::copy_bulk(to, from, bytes, &barrier);
}
inline void copy_box(void* to, const TensorMap& tensor, int64_t x, int64_t y, int64_t z, Barrier& barrier) {
  const Box& b = tensor.box;
  simt::copy_box(to, {b.data, {b.x, b.y, b.z}, {1, b.y_step, b.z_step}, b.lines}, {x, y, z}, &barrier);
}
inline void fence_async() { simt::fence_async(); }

inline void sync_named(int id, int threads, HEDDLE_SITE) { simt::meet_named(id, threads, true, {file, line}); }
inline void arrive_named(int id, int threads, HEDDLE_SITE) { simt::meet_named(id, threads, false, {file, line}); }

template <int Registers>
inline void take_registers(HEDDLE_SITE) {
  simt::change_registers(Registers, {file, line});
}
template <int Registers>
inline void leave_registers(HEDDLE_SITE) {
  simt::change_registers(Registers, {file, line});
}

inline void fence_products(HEDDLE_SITE) { simt::fence_products({file, line}); }
inline void commit_products(HEDDLE_SITE) { simt::commit_products({file, line}); }
template <int Pending>
inline void wait_products(HEDDLE_SITE) {
  simt::wait_products(Pending, {file, line});
}
template <int Pending, int Tiles>
inline void wait_products(float (&)[Tiles][4], HEDDLE_SITE) {
  simt::wait_products(Pending, {file, line});
}

template <typename T, Major A, Major B, int Tiles>
inline void multiply_shared(float (&sums)[Tiles][4], uint64_t a, uint64_t b, bool adds, HEDDLE_SITE) {
  constexpr bool kFloat16 = std::is_same_v<T, Float16>;
  simt::multiply(sums[0], {8 * Tiles, kFloat16, adds, A == Major::kRows, B == Major::kRows, nullptr, a, b},
                 {file, line});
}
template <typename T, Major B, int Tiles>
inline void multiply_registers(float (&sums)[Tiles][4], const uint32_t (&a)[4], uint64_t b, bool adds, HEDDLE_SITE) {
  constexpr bool kFloat16 = std::is_same_v<T, Float16>;
  simt::multiply(sums[0], {8 * Tiles, kFloat16, adds, false, B == Major::kRows, a, 0, b}, {file, line});
}

}  // namespace heddle::cuda

#undef HEDDLE_SITE
