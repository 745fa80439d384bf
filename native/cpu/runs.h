#pragma once

#include <algorithm>
#include <cstdint>

#include "core/kernel_context.h"
#include "cpu/simd.h"

namespace heddle::cpu::HEDDLE_ISA {

constexpr int64_t kTileElements = 16384;  // of an element-wise op: 64 KiB
constexpr double kNsPerElement = 0.1;

/// Calls body(begin, end) for runs of [0, count).
template <typename Body>
inline void for_runs(KernelContext& context, int64_t count, double ns_per_element, const Body& body) {
  const int64_t tiles = (count + kTileElements - 1) / kTileElements;
  context.parallel_for(tiles, ns_per_element * kTileElements,
                       [&](int64_t tile) { body(tile * kTileElements, std::min(count, (tile + 1) * kTileElements)); });
}

/// Calls body(i, lanes) for the vectors of [begin, end).
template <typename Body>
inline void vectors_of(int64_t begin, int64_t end, const Body& body) {
  for (int64_t i = begin; i < end; i += Vec::kWidth) {
    body(i, static_cast<int>(std::min<int64_t>(Vec::kWidth, end - i)));
  }
}

/// The same for [0, count), in parallel.
template <typename Body>
inline void for_vectors(KernelContext& context, int64_t count, double ns_per_element, const Body& body) {
  for_runs(context, count, ns_per_element, [&](int64_t begin, int64_t end) { vectors_of(begin, end, body); });
}

}  // namespace heddle::cpu::HEDDLE_ISA
