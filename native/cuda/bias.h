#pragma once

#include <algorithm>

#include "cuda/device.h"
#include "ops/bias.h"

namespace heddle::cuda {

/// A bias as kernels see it.
struct Bias {
  struct Data {
    const float* values;
    int64_t shape[4];
    int64_t strides[4];
  };
  const int32_t* code;  // null: none
  int terms;
  Data data[BiasOperand::kMaxData];
  const int32_t* query_positions;  // or null
  const int32_t* key_positions;
  int64_t key_positions_shape[2];
};

inline Bias bias_of(const BiasOperand& operand) {
  Bias bias{};
  if (!operand.code) return bias;
  bias.code = operand.code->data<int32_t>();
  bias.terms = static_cast<int>(operand.code->shape[0]);
  for (size_t i = 0; i < BiasOperand::kMaxData; ++i) {
    const Tensor* const tensor = operand.data[i];
    if (!tensor) continue;
    bias.data[i].values = tensor->data<float>();
    std::copy(tensor->shape.begin(), tensor->shape.end(), bias.data[i].shape);
    std::copy(tensor->strides.begin(), tensor->strides.end(), bias.data[i].strides);
  }
  if (operand.query_positions) bias.query_positions = operand.query_positions->data<int32_t>();
  if (operand.key_positions) {
    bias.key_positions = operand.key_positions->data<int32_t>();
    std::copy_n(operand.key_positions->shape.begin(), 2, bias.key_positions_shape);
  }
  return bias;
}

/// From the row's query to a key.
HEDDLE_DEVICE int64_t distance_to(const Bias& bias, const BiasRow& row, int64_t key) {
  int64_t to = key;
  if (bias.key_positions && key < bias.key_positions_shape[1]) {
    const int64_t rows = bias.key_positions_shape[0];
    to = bias.key_positions[(rows == 1 ? 0 : row.sequence * bias.key_positions_shape[1]) + key];
  }
  return to - (bias.query_positions ? bias.query_positions[row.token] : row.position);
}

/// The scaled terms of a pair, or the others.
HEDDLE_DEVICE float bias_at(const Bias& bias, bool scaled, const BiasRow& row, int64_t key) {
  float sum = 0.0f;
  for (int i = 0; i < bias.terms; ++i) {
    const int32_t* const code = bias.code + 4 * i;
    if (((code[3] & kScaledBias) != 0) != scaled) continue;
    const Bias::Data& data = bias.data[code[1]];
    const int64_t* const shape = data.shape;
    const auto number = [&](int64_t count) {
      const int64_t at = distance_to(bias, row, key) + code[2];
      return at < 0 ? 0 : at < count ? at : count - 1;
    };
    switch (static_cast<BiasKind>(code[0])) {
      case BiasKind::kAlibi: {
        const float slope = data.values[row.head], d = static_cast<float>(distance_to(bias, row, key));
        sum += (code[3] & kSymmetricBias) != 0 ? -slope * fabsf(d) : slope * d;
        break;
      }
      case BiasKind::kByDistance:
        sum += data.values[(shape[0] == 1 ? 0 : row.head) * shape[1] + number(shape[1])];
        break;
      case BiasKind::kByQuery:
        sum += data.values[(row.token * shape[2] + row.head) * shape[3] + number(shape[3])];
        break;
      case BiasKind::kByKey:
        if (key >= shape[1]) break;
        sum += data.values[((row.sequence * shape[1] + key) * shape[2] + row.kv_head) * shape[3] + number(shape[3])];
        break;
      case BiasKind::kDense: {
        const int64_t index[] = {row.sequence, row.head, row.query, key};
        int64_t at = 0;
        bool inside = true;
        for (int axis = 0; axis < 4; ++axis) {
          const int64_t place = shape[axis] == 1 ? 0 : index[axis];
          inside = inside && place < shape[axis];
          at += place * data.strides[axis];
        }
        if (inside) sum += data.values[at];
        break;
      }
    }
  }
  return sum;
}

}  // namespace heddle::cuda
