#pragma once

#include "cuda/device.h"

namespace heddle::cuda {

/// What is known of a row's softmax so far: its largest score, and the sum of exponentials relative to it. The
/// weighted sum of values, not yet divided, goes with it. T: the dtype of the op. Of float32 the scores are as they
/// are and their exponentials powers of e; of halves they are in units of ln 2 and powers of 2, which are one
/// instruction.
template <typename T>
struct RowState {
  /// Times a score: what it is here.
  static constexpr float kUnit = std::is_same_v<T, float> ? 1.0f : 1.4426950408889634f;
  float max = -kInfinity;
  float sum = 0.0f;
};

template <typename T>
HEDDLE_DEVICE float exponential(float x) {
  if constexpr (std::is_same_v<T, float>) {
    return expf(x);
  } else {
    return exp2_fast(x);
  }
}

/// What two weighted sums of values are multiplied by when they are added.
struct Shares {
  float old;
  float added;
};

/// What `span` holds joins `total`.
template <typename T>
HEDDLE_DEVICE Shares merge(RowState<T>& total, const RowState<T>& span) {
  if (span.sum == 0.0f) return {1.0f, 0.0f};  // no key of the span: as if it had not been
  const float now = fmaxf(total.max, span.max);
  const Shares shares{exponential<T>(total.max - now), exponential<T>(span.max - now)};
  total.max = now;
  total.sum = total.sum * shares.old + span.sum * shares.added;
  return shares;
}

HEDDLE_DEVICE float merge_value(float total, float span, const Shares& shares) {
  return fmaf(total, shares.old, span * shares.added);
}

/// A row that sees nothing gives 0. Adding 0 turns -0 into 0: rows nearby decide whether a hidden key was added.
template <typename T>
HEDDLE_DEVICE float finish(float value, const RowState<T>& total) {
  const float sum = total.sum == 0.0f ? 1.0f : total.sum;
  if constexpr (std::is_same_v<T, float>) return value / sum + 0.0f;
  return value * (1.0f / sum) + 0.0f;  // a division a row
}

/// ln Σ e^score, -∞ for a row that sees nothing.
template <typename T>
HEDDLE_DEVICE float log_sum(const RowState<T>& total) {
  if (total.sum == 0.0f) return -kInfinity;
  return (std::is_same_v<T, float> ? total.max : total.max * 0.69314718056f) + logf(total.sum);
}

}  // namespace heddle::cuda
