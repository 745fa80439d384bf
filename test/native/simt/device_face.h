#pragma once

#include <cstdint>
#include <cstring>

#include "simt/simulator.h"

// The simulator's face of native/cuda/device.h.

#define HEDDLE_KERNEL(threads) void
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

template <int Bytes>
inline void copy_async(void* to, const void* from, bool wanted) {
  static_assert(Bytes == 4 || Bytes == 16);
  simt::copy_async(to, from, Bytes, wanted);
}
inline void commit_copies() { simt::commit_copies(); }
template <int Pending>
inline void wait_copies() {
  simt::wait_copies(Pending);
}

inline void atomic_min(unsigned long long* at, unsigned long long value) { *at = value < *at ? value : *at; }
inline void atomic_add(unsigned long long* at, unsigned long long value) { *at += value; }

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

}  // namespace heddle::cuda

#undef HEDDLE_SITE
