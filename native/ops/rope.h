#pragma once

#include <array>

#include "core/tensor.h"

namespace heddle {

class Runtime;

/// Rotary position embedding (Su et al., 2021, section 3.2.2): coordinate pairs of the first R turn by
/// position · frequency, the other D - R stay.
///
///   x            [N, H, D] of a float dtype
///   positions    [N] int32
///   frequencies  [R / 2] float32: radians per position
///   out          [N, H, D]
///
/// A pair is (i, i + R / 2), as in Llama, or (2i, 2i + 1) if `interleaved`, as in GPT-J. Cosine and sine of the float32
/// product are multiplied by `factor` (YaRN's attention factor; else 1).
struct Rope {
  static constexpr const char* kName = "rope";
  const Tensor* x;
  const Tensor* positions;
  const Tensor* frequencies;
  float factor;
  bool interleaved;
  Tensor* out = nullptr;

  std::array<const Tensor*, 3> reads() const { return {x, positions, frequencies}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* rope(Runtime& runtime, Rope op);

/// The same rotation by given angles: (a, b) → (a cos - b sin, b cos + a sin) for the first R coordinates, the other
/// D - R stay (ONNX RotaryEmbedding, opset 23).
///
///   x          [B, H, T, D] of a float dtype
///   cos, sin   [P, R / 2] float32: a row for each position
///   positions  [B, T] int32, or null: token t of sequence b has row b · batch_step + t
///   out        [B, H, T, D]
///
/// A position outside [0, P) fails when the op runs: INDEX_OUT_OF_RANGE.
struct Rotate {
  static constexpr const char* kName = "rotate";
  const Tensor* x;
  const Tensor* cosine;
  const Tensor* sine;
  const Tensor* positions;
  bool interleaved;
  int64_t batch_step = 0;
  Tensor* out = nullptr;

  std::array<const Tensor*, 4> reads() const { return {x, cosine, sine, positions}; }
  std::array<Tensor*, 1> writes() const { return {out}; }

  /// For kernels: positions[at], row-major, is not in the tables.
  [[noreturn]] void fail(int64_t at, int32_t position) const;
};
/// cos and sin [P, R / 2] with positions; without, [T, R / 2] or [B, T, R / 2]. Of any float dtype.
Tensor* rotate(Runtime& runtime, Rotate op);

/// Frequencies of "dynamic" NTK scaling: base^(-2i / R), where the base grows once the longest row passes the trained
/// length (Hugging Face transformers, _compute_dynamic_ntk_parameters):
///
///   base · (factor · L / max_positions - (factor - 1))^(R / (R - 2)),  L = max(last) + 1, if L > max_positions
///
///   last  [M] int32: last positions of the rows
///   out   [R / 2] float32
struct DynamicFrequencies {
  static constexpr const char* kName = "dynamic_frequencies";
  const Tensor* last;
  double base;
  double factor;
  int64_t max_positions;
  int64_t rotary_width;
  Tensor* out = nullptr;

  std::array<const Tensor*, 1> reads() const { return {last}; }
  std::array<Tensor*, 1> writes() const { return {out}; }
};
Tensor* dynamic_frequencies(Runtime& runtime, DynamicFrequencies op);

}  // namespace heddle
