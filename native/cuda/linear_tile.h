#pragma once

#include "cuda/device.h"

// What the kernels of `linear` by tiles have in common.

namespace heddle::cuda {

/// Tiles of some rows are worked on together, so that what is read of x and of the weight stays in the L2 cache.
struct Place {
  int64_t row, column;
};
template <typename Tile>
HEDDLE_DEVICE Place place_of_tile(int64_t index, int64_t rows, int64_t n) {
  constexpr int64_t kTogether = 8;
  const int64_t tiles_m = (rows + Tile::kRows - 1) / Tile::kRows, tiles_n = (n + Tile::kColumns - 1) / Tile::kColumns;
  const int64_t first = index / (kTogether * tiles_n) * kTogether, at = index % (kTogether * tiles_n);
  const int64_t together = tiles_m - first < kTogether ? tiles_m - first : kTogether;
  return {(first + at % together) * Tile::kRows, at / together * Tile::kColumns};
}

/// Four elements of any float dtype, the first `count` of them there: at once if `whole`.
template <typename T>
struct alignas(4 * sizeof(T)) Four {
  T at[4];
};
template <typename T>
HEDDLE_DEVICE float4 read_four(const T* p, int64_t count, bool whole) {
  Four<T> four{};
  if (whole) {
    four = *reinterpret_cast<const Four<T>*>(p);
  } else {
    for (int i = 0; i < 4; ++i) {
      if (i < count) four.at[i] = p[i];
    }
  }
  return {widen(four.at[0]), widen(four.at[1]), widen(four.at[2]), widen(four.at[3])};
}
template <typename T>
HEDDLE_DEVICE void write_four(T* p, float4 v, int64_t count, bool whole) {
  const Four<T> four{{narrow<T>(v.x), narrow<T>(v.y), narrow<T>(v.z), narrow<T>(v.w)}};
  if (whole) {
    *reinterpret_cast<Four<T>*>(p) = four;
    return;
  }
  for (int i = 0; i < 4; ++i) {
    if (i < count) p[i] = four.at[i];
  }
}

}  // namespace heddle::cuda
