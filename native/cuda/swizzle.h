#pragma once

#include "cuda/device.h"

namespace heddle::cuda {

/// Halves in the 16 bytes that ldmatrix reads of a row, and cp.async copies.
constexpr int kChunk = 8;

/// Where a chunk of a row lies in shared memory, in halves, rows having `Chunks` of them. The same chunk of eight rows
/// in a row, which is what ldmatrix reads at once, lies in different banks.
template <int Chunks>
HEDDLE_DEVICE int swizzled(int row, int chunk) {
  static_assert((Chunks & (Chunks - 1)) == 0);
  constexpr int kRowsPerLine = Chunks < 8 ? 8 / Chunks : 1, kMask = (Chunks < 8 ? Chunks : 8) - 1;
  return (row * Chunks + (chunk ^ (row / kRowsPerLine & kMask))) * kChunk;
}

}  // namespace heddle::cuda
