#pragma once

#include <cmath>
#include <cstdint>

#include "simt/simulator.h"

// The simulator's face of native/cuda/device.h.

#define HEDDLE_KERNEL(threads) void
#define HEDDLE_KERNEL_BESIDE(threads, blocks) void
#define HEDDLE_DEVICE inline
#define HEDDLE_DEVICE_CALL inline
#define HEDDLE_PARAMETER const
#define HEDDLE_SHARED(type, name)   \
  static const char name##_tag = 0; \
  type& name = *static_cast<type*>(simt::shared_memory(&name##_tag, sizeof(type)))
#define HEDDLE_UNROLL
#define HEDDLE_NO_UNROLL

#define HEDDLE_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace heddle::cuda {

struct alignas(16) float4 {
  float x, y, z, w;
};

inline int thread_index() { return simt::thread_index(); }
inline int num_threads() { return simt::extent().threads; }
inline int64_t block_x() { return simt::block_x(); }
inline int64_t block_y() { return simt::block_y(); }
inline int64_t num_blocks_x() { return simt::extent().blocks_x; }
inline float* dynamic_shared() { return static_cast<float*>(simt::dynamic_shared()); }

inline void sync_block(HEDDLE_SITE) { simt::sync_block({file, line}); }
inline void sync_warp(HEDDLE_SITE) { simt::sync_warp({file, line}); }
inline bool any_of_block(bool value, HEDDLE_SITE) { return simt::any_of_block(value, {file, line}); }
template <typename T>
inline T shuffle_xor(T value, int mask, HEDDLE_SITE) {
  simt::shuffle_xor(&value, sizeof(T), mask, {file, line});
  return value;
}

inline uint32_t ballot(bool value, HEDDLE_SITE) { return simt::ballot(value, {file, line}); }

inline int count_bits(uint32_t bits) { return __builtin_popcount(bits); }

template <int Bytes>
inline void copy_async(void* to, const void* from, bool wanted) {
  static_assert(Bytes == 4 || Bytes == 8 || Bytes == 16);
  simt::copy_async(to, from, Bytes, wanted);
}
inline void commit_copies() { simt::commit_copies(); }
template <int Pending>
inline void wait_copies() {
  simt::wait_copies(Pending);
}

inline float widen(float value) { return value; }
inline float widen(int8_t value) { return static_cast<float>(value); }
inline float widen(Float16 value) { return to_float(value); }
inline float widen(BFloat16 value) { return to_float(value); }
template <typename T>
inline T narrow(float value) {
  return from_float<T>(value);
}
template <typename T>
inline uint32_t narrow_two(float first, float second) {
  return from_float<T>(first).bits | static_cast<uint32_t>(from_float<T>(second).bits) << 16;
}
inline float exp2_fast(float x) {
  const float y = std::exp2(x);
  return y < 0x1p-126f ? 0.0f : y;
}

inline int fresh(int x) { return x; }

struct alignas(16) Words {
  uint32_t at[4];
};
inline Words read_words(const void* p) { return *static_cast<const Words*>(simt::aligned(p, sizeof(Words))); }
inline Words read_words_once(const void* p) { return read_words(p); }
inline void write_words(void* p, const Words& words) {
  simt::aligned(p, sizeof(Words));
  *static_cast<Words*>(p) = words;
}

inline void ldmatrix(uint32_t (&to)[4], const void* row, HEDDLE_SITE) {
  simt::load_matrices(to, row, false, {file, line});
}
inline void ldmatrix_transposed(uint32_t (&to)[4], const void* row, HEDDLE_SITE) {
  simt::load_matrices(to, row, true, {file, line});
}
template <typename T>
inline void mma(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, HEDDLE_SITE) {
  simt::multiply_matrices<T>(sums, a, b0, b1, {file, line});
}
inline void mma_bytes(int32_t (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, HEDDLE_SITE) {
  simt::multiply_bytes(sums, a, b0, b1, {file, line});
}

inline void atomic_min(unsigned long long* at, unsigned long long value) { *at = value < *at ? value : *at; }
inline void atomic_add(unsigned long long* at, unsigned long long value) { *at += value; }
inline void atomic_max(uint32_t* at, uint32_t value) { *at = value > *at ? value : *at; }
inline uint32_t atomic_add(uint32_t* at, uint32_t value) {
  const uint32_t old = *at;
  *at += value;
  return old;
}
inline uint32_t atomic_exchange(uint32_t* at, uint32_t value) {
  const uint32_t old = *at;
  *at = value;
  return old;
}

inline uint32_t bits_of(float value) { return bits_of_float(value); }
inline float float_from(uint32_t bits) { return float_of_bits(bits); }

}  // namespace heddle::cuda

#undef HEDDLE_SITE
