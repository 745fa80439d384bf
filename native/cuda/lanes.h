#pragma once

#include "core/dtype.h"
#include "cuda/device.h"

namespace heddle::cuda {

/// Elements of a type that a thread takes together: those of 16 bytes. Which ones those are, and so the order of sums,
/// depends on the type alone, never on alignment.
template <typename T>
constexpr int kLanes = 16 / static_cast<int>(sizeof(T));

/// Such elements, widened.
template <int N>
struct Lanes {
  float at[N];
};
template <typename T>
using LanesOf = Lanes<kLanes<T>>;

HEDDLE_DEVICE uint32_t bits_of(Float16 value) { return value.bits; }
HEDDLE_DEVICE uint32_t bits_of(BFloat16 value) { return value.bits; }
template <typename T, typename = std::enable_if_t<std::is_unsigned_v<T>>>
HEDDLE_DEVICE uint32_t bits_of(T value) {
  return value;
}

template <typename T>
HEDDLE_DEVICE T from_bits(uint32_t bits) {
  if constexpr (std::is_same_v<T, float>) {
    return float_from(bits);
  } else if constexpr (std::is_unsigned_v<T>) {
    return static_cast<T>(bits);
  } else {
    return {static_cast<uint16_t>(bits)};
  }
}

/// Whether what is read will be read again soon, by this block or another.
enum class Reuse { kNone, kSoon };

/// The first `count` of kLanes<T> elements, as bits, the others 0: in one load if `whole` says that p is aligned.
template <Reuse reuse = Reuse::kNone, typename T, typename Count>
HEDDLE_DEVICE Words load_bits(const T* p, Count count, bool whole) {
  if (whole && count >= kLanes<T>) return reuse == Reuse::kNone ? read_words_once(p) : read_words(p);
  constexpr int kPerWord = 4 / sizeof(T), kBits = 8 * sizeof(T);
  Words words{};
  HEDDLE_UNROLL
  for (int i = 0; i < kLanes<T>; ++i) {
    if (i < count) words.at[i / kPerWord] |= bits_of(p[i]) << i % kPerWord * kBits;
  }
  return words;
}

template <typename T, typename Count>
HEDDLE_DEVICE void store_bits(T* p, const Words& words, Count count, bool whole) {
  if (whole && count >= kLanes<T>) return write_words(p, words);
  constexpr int kPerWord = 4 / sizeof(T), kBits = 8 * sizeof(T);
  HEDDLE_UNROLL
  for (int i = 0; i < kLanes<T>; ++i) {
    if (i < count) p[i] = from_bits<T>(words.at[i / kPerWord] >> i % kPerWord * kBits);
  }
}

template <typename T>
HEDDLE_DEVICE LanesOf<T> widen_bits(const Words& words) {
  LanesOf<T> lanes;
  HEDDLE_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<T, float>) {
      lanes.at[i] = float_from(words.at[i]);
    } else {
      lanes.at[2 * i] = widen(from_bits<T>(words.at[i]));
      lanes.at[2 * i + 1] = widen(from_bits<T>(words.at[i] >> 16));
    }
  }
  return lanes;
}

template <typename T>
HEDDLE_DEVICE Words narrow_bits(const LanesOf<T>& lanes) {
  Words words;
  HEDDLE_UNROLL
  for (int i = 0; i < 4; ++i) {
    if constexpr (std::is_same_v<T, float>) {
      words.at[i] = bits_of(lanes.at[i]);
    } else {
      words.at[i] = narrow_two<T>(lanes.at[2 * i], lanes.at[2 * i + 1]);
    }
  }
  return words;
}

template <Reuse reuse = Reuse::kNone, typename T, typename Count>
HEDDLE_DEVICE LanesOf<T> load_lanes(const T* p, Count count, bool whole) {
  return widen_bits<T>(load_bits<reuse>(p, count, whole));
}
template <typename T, typename Count>
HEDDLE_DEVICE void store_lanes(T* p, const LanesOf<T>& lanes, Count count, bool whole) {
  store_bits(p, narrow_bits<T>(lanes), count, whole);
}

/// Applies f to each lane, or to those of two.
template <int N, typename F>
HEDDLE_DEVICE Lanes<N> map_lanes(const Lanes<N>& a, const F& f) {
  Lanes<N> out;
  HEDDLE_UNROLL
  for (int i = 0; i < N; ++i) out.at[i] = f(a.at[i]);
  return out;
}
template <int N, typename F>
HEDDLE_DEVICE Lanes<N> map_lanes(const Lanes<N>& a, const Lanes<N>& b, const F& f) {
  Lanes<N> out;
  HEDDLE_UNROLL
  for (int i = 0; i < N; ++i) out.at[i] = f(a.at[i], b.at[i]);
  return out;
}

/// Calls body(T{}) with an unsigned type of the size of a float dtype: for what is only moved.
template <typename Body>
auto with_bits_type(DType dtype, const Body& body) {
  return size_of(dtype) == 2 ? body(uint16_t{}) : body(uint32_t{});
}
/// The same of any dtype.
template <typename Body>
auto with_any_bits_type(DType dtype, const Body& body) {
  return size_of(dtype) == 1 ? body(uint8_t{}) : with_bits_type(dtype, body);
}

}  // namespace heddle::cuda
