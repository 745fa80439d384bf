#pragma once

#include "cuda/device.h"

namespace heddle::cuda {

/// What is known of a row's softmax so far: its largest score, and the sum of exponentials relative to it. The
/// weighted sum of values, not yet divided, goes with it.
struct RowState {
  float max = -kInfinity;
  float sum = 0.0f;
};

/// What two weighted sums of values are multiplied by when they are added.
struct Shares {
  float old;
  float added;
};

/// What `span` holds joins `total`.
HEDDLE_DEVICE Shares merge(RowState& total, const RowState& span) {
  if (span.sum == 0.0f) return {1.0f, 0.0f};  // no key of the span: as if it had not been
  const float now = fmaxf(total.max, span.max);
  const Shares shares{expf(total.max - now), expf(span.max - now)};
  total.max = now;
  total.sum = total.sum * shares.old + span.sum * shares.added;
  return shares;
}

HEDDLE_DEVICE float merge_value(float total, float span, const Shares& shares) {
  return fmaf(total, shares.old, span * shares.added);
}

/// A row that sees nothing gives 0. Adding 0 turns -0 into 0: rows nearby decide whether a hidden key was added.
HEDDLE_DEVICE float finish(float value, const RowState& total) {
  return value / (total.sum == 0.0f ? 1.0f : total.sum) + 0.0f;
}

}  // namespace heddle::cuda
