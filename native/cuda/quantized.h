#pragma once

#include "cuda/activation.h"
#include "cuda/linear_quantized.h"
#include "cuda/linear_tile.h"
#include "cuda/reduce.h"
#include "cuda/to_integers.h"

// Quantized weights on the device: the layout of core/quantized.h, which products by mma_bytes read as it is. A word
// has inputs of one output, so 16 bytes have four outputs, and of the columns of a product the j-th eight can be
// outputs j, 4 + j, 8 + j, … as well as any other. Sums of whole numbers are exact, so inputs, too, may come in any
// order that x and the weight have in common.

namespace heddle::cuda {

/// Inputs that are multiplied at a time, of two groups: rows of x are filled up to a multiple of it with zeros.
constexpr int kStepInputs = 64;
constexpr int kStepGroups = kStepInputs / static_cast<int>(kGroup);

/// Where four inputs, the w-th word of a row, lie among the whole numbers of x. An 8-input word of int4 has four inputs
/// in its low halves and four in its high ones, which a product meets 16 inputs apart.
HEDDLE_DEVICE int64_t place_of_word(int64_t w) { return (w & ~int64_t{7}) | (w & 1) << 2 | (w & 7) >> 1; }

/// The bits of the largest magnitude of a row.
template <typename T>
HEDDLE_DEVICE uint32_t largest_of_row(const T* row, int64_t k, bool aligned, WarpSlots<uint32_t>& slots) {
  uint32_t largest = 0;
  for (int64_t i = thread_index() * kLanes<T>; i < k; i += num_threads() * kLanes<T>) {
    const auto v = load_lanes<Reuse::kSoon>(row + i, k - i, aligned);
    HEDDLE_UNROLL
    for (int lane = 0; lane < kLanes<T>; ++lane) largest = LargestBits{}(largest, magnitude_bits(v.at[lane]));
  }
  return reduce_block(largest, slots, LargestBits{});
}

/// Makes a row of x whole numbers, q [filled up K / 4] words, by all threads of a block; its scale. See Linear.
template <typename T>
HEDDLE_DEVICE float quantize_row(const T* x, int64_t k, bool aligned, uint32_t* q, WarpSlots<uint32_t>& slots) {
  const ToIntegers to_integers(largest_of_row(x, k, aligned, slots));
  const int64_t filled = (k + kStepInputs - 1) / kStepInputs * kStepInputs;
  for (int64_t i = thread_index() * kLanes<T>; i < filled; i += num_threads() * kLanes<T>) {
    LanesOf<T> v{};
    if (to_integers.counts) v = load_lanes<Reuse::kSoon>(x + i, k - i, aligned);
    HEDDLE_UNROLL
    for (int w = 0; w < kLanes<T> / 4; ++w) q[place_of_word(i / 4 + w)] = int8_word(v.at + 4 * w, to_integers.inverse);
  }
  return to_integers.scale;
}

// ---- Weights

/// A lane's words of a group, for 32 outputs: `words` has kLoads of them, `step` apart. Fragments b of four products.
struct Int8Weight {
  static constexpr int kLoads = 2;      // lane l's words are of inputs 8 (l % 4) …
  static constexpr int kHeadBytes = 0;  // of a group, before its words
  static constexpr int kGroupBytes = kGroup * kPanelWidth;
  static constexpr int kStages = 4;  // of a warp that is bound by memory
  static constexpr int64_t kMostOfFew = INT64_MAX;

  HEDDLE_DEVICE static void fragments(const Words (&words)[kLoads], uint32_t, uint32_t (&b)[4][2]) {
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      b[j][0] = words[0].at[j];
      b[j][1] = words[1].at[j];
    }
  }

  /// sums += a · b
  HEDDLE_DEVICE static void add(int32_t (&sums)[4][4], const uint32_t (&a)[4], const Words (&words)[kLoads],
                                const void*) {
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) mma_bytes(sums[j], a, words[0].at[j], words[1].at[j]);
  }
  HEDDLE_DEVICE static uint32_t total(uint32_t sum) { return sum; }
};

struct Int4Weight {
  static constexpr int kLoads = 1;
  static constexpr int kHeadBytes = kPanelWidth;  // multipliers
  static constexpr int kGroupBytes = kInt4GroupBytes;
  static constexpr int kStages = 6;
  static constexpr int64_t kMostOfFew = 65536;  // see total

  /// m · q, with the multipliers of the four outputs. Two numbers of a word are multiplied at once, 16 bits apart; 256
  /// keeps what lies between them from borrowing.
  HEDDLE_DEVICE static void fragments(const Words (&words)[kLoads], uint32_t multipliers, uint32_t (&b)[4][2]) {
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      const int32_t m = static_cast<int8_t>(multipliers >> 8 * j);
      const uint32_t even = static_cast<uint32_t>(256 - 8 * m) * 0x00010001u, odd = even << 8;
      HEDDLE_UNROLL
      for (int half = 0; half < 2; ++half) {
        const uint32_t w = words[0].at[j] >> 4 * half, factor = static_cast<uint32_t>(m);
        const uint32_t bytes_0_2 = (w & 0x000f000fu) * factor + even, bytes_1_3 = (w & 0x0f000f00u) * factor + odd;
        b[j][half] = (bytes_0_2 & 0x00ff00ffu) | (bytes_1_3 & 0xff00ff00u);
      }
    }
  }

  /// sums += 16 a · b: half a byte in the upper half of one is 16 q, which takes the fewest instructions.
  HEDDLE_DEVICE static void add(int32_t (&sums)[4][4], const uint32_t (&a)[4], const Words (&words)[kLoads],
                                const void* multipliers) {
    constexpr uint32_t kUpper = 0xf0f0f0f0u, kSigns = 0x80808080u;
    const auto* const m = static_cast<const uint32_t*>(multipliers) + lane_index() % 4 * 2;
    const uint32_t of_four[2] = {m[0], m[1]};  // of outputs 8 (lane % 4) …
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      int32_t products[4] = {};
      mma_bytes(products, a, (words[0].at[j] << 4 & kUpper) ^ kSigns, (words[0].at[j] & kUpper) ^ kSigns);
      HEDDLE_UNROLL
      for (int e = 0; e < 4; ++e) sums[j][e] += products[e] * static_cast<int8_t>(of_four[e % 2] >> 8 * j);
    }
  }
  /// A warp's sum, 16 · 120 · 127 times its inputs at most, K / 8 of them: it fits.
  HEDDLE_DEVICE static uint32_t total(uint32_t sum) { return static_cast<uint32_t>(static_cast<int32_t>(sum) >> 4); }
};

// ---- What becomes of sums

struct Finish {
  int64_t n;
  DType dtype, out_dtype;
  bool aligned;  // rows of out and residual may be accessed four elements at a time
  Activation activation;
  const void* bias;
  const void* residual;
  void* out;
};

HEDDLE_DEVICE float4 read_four(const void* p, DType dtype, int64_t at, int64_t count, bool whole) {
  if (dtype == DType::kFloat32) return read_four(static_cast<const float*>(p) + at, count, whole);
  if (dtype == DType::kFloat16) return read_four(static_cast<const Float16*>(p) + at, count, whole);
  return read_four(static_cast<const BFloat16*>(p) + at, count, whole);
}

/// Four sums of a row → activation(sums · x's scale · the outputs' scales + bias) + residual. A call: it is long.
HEDDLE_DEVICE_CALL void finish_four(const Finish& f, Words sums, float x_scale, const float* scales, int64_t row,
                                    int64_t column) {
  const auto add = [](float a, float b) { return a + b; };
  const auto as_float = [](uint32_t sum) { return static_cast<float>(static_cast<int32_t>(sum)); };
  const int64_t at = row * f.n + column, count = f.n - column;
  float4 y = {as_float(sums.at[0]), as_float(sums.at[1]), as_float(sums.at[2]), as_float(sums.at[3])};
  y = map_four(y, *reinterpret_cast<const float4*>(scales), [=](float a, float b) { return a * x_scale * b; });
  if (f.bias) y = map_four(y, read_four(f.bias, f.dtype, column, count, false), add);
  y = map_four(y, [&](float x) { return activate(x, f.activation); });
  if (f.residual) y = map_four(y, read_four(f.residual, f.out_dtype, at, count, f.aligned), add);
  if (f.out_dtype == DType::kFloat32) {
    write_four(static_cast<float*>(f.out) + at, y, count, f.aligned);
  } else if (f.out_dtype == DType::kFloat16) {
    write_four(static_cast<Float16*>(f.out) + at, y, count, f.aligned);
  } else {
    write_four(static_cast<BFloat16*>(f.out) + at, y, count, f.aligned);
  }
}

/// A lane's sums of four products: of rows `row` and row + 8, outputs 8 (lane % 4) … of `columns`.
HEDDLE_DEVICE void write_sums(const int32_t (&sums)[4][4], int32_t* columns, int row_width) {
  HEDDLE_UNROLL
  for (int half = 0; half < 2; ++half) {
    int32_t* const to = columns + (lane_index() / 4 + half * 8) * row_width + lane_index() % 4 * 8;
    HEDDLE_UNROLL
    for (int e = 0; e < 2; ++e) {
      Words four;
      HEDDLE_UNROLL
      for (int j = 0; j < 4; ++j) four.at[j] = static_cast<uint32_t>(sums[j][half * 2 + e]);
      write_words(to + 4 * e, four);
    }
  }
}

}  // namespace heddle::cuda
