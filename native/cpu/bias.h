#pragma once

#include <algorithm>

#include "cpu/simd.h"
#include "ops/bias.h"

namespace heddle::cpu::HEDDLE_ISA {

/// The terms of a bias on the stream, asked for a row of keys at a time.
class BiasReader {
 public:
  explicit BiasReader(const BiasOperand& bias) : bias_(bias) {
    if (!bias.code) return;
    for (int64_t i = 0; i < bias.code->shape[0]; ++i) {
      const int32_t flags = bias.code->data<int32_t>()[4 * i + 3];
      (flags & kScaledBias ? scaled_ : unscaled_) = true;
    }
  }

  /// Whether there are terms of this sort.
  bool has(bool scaled) const { return scaled ? scaled_ : unscaled_; }

  /// out[j] += the terms of a sort for key k0 + j, j in [0, count).
  void add(bool scaled, const BiasRow& row, int64_t k0, int64_t count, float* out) const {
    const int32_t* code = bias_.code->data<int32_t>();
    for (int64_t i = 0; i < bias_.code->shape[0]; ++i, code += 4) {
      if (((code[3] & kScaledBias) != 0) != scaled) continue;
      add(static_cast<BiasKind>(code[0]), *bias_.data[code[1]], code[2], (code[3] & kSymmetricBias) != 0, row, k0,
          count, out);
    }
  }

 private:
  void add(BiasKind kind, const Tensor& data, int64_t low, bool symmetric, const BiasRow& row, int64_t k0,
           int64_t count, float* out) const {
    const Shape& shape = data.shape;
    const float* values = data.data<float>();
    const auto head_of = [&](int64_t heads) { return heads == 1 ? 0 : row.head; };
    switch (kind) {
      case BiasKind::kAlibi: {
        const float slope = values[row.head];
        return each_distance(row, k0, count, [&](int64_t j, int64_t d) {
          out[j] += symmetric ? -slope * static_cast<float>(std::abs(d)) : slope * static_cast<float>(d);
        });
      }
      case BiasKind::kByDistance:
        return add_by_distance(values + head_of(shape[0]) * shape[1], shape[1], low, row, k0, count, out);
      case BiasKind::kByQuery:
        return add_by_distance(values + (row.token * shape[2] + row.head) * shape[3], shape[3], low, row, k0, count,
                               out);
      case BiasKind::kByKey:
        return each_distance(row, k0, count, [&](int64_t j, int64_t d) {
          const int64_t key = k0 + j;
          if (key >= shape[1]) return;
          const int64_t place = std::clamp<int64_t>(d + low, 0, shape[3] - 1);
          out[j] += values[((row.sequence * shape[1] + key) * shape[2] + row.kv_head) * shape[3] + place];
        });
      case BiasKind::kDense: {
        const auto index = [](int64_t size, int64_t at) { return size == 1 ? int64_t{0} : at; };
        if (shape[2] > 1 && row.query >= shape[2]) return;
        const float* from = values + index(shape[0], row.sequence) * data.strides[0] +
                            head_of(shape[1]) * data.strides[1] + index(shape[2], row.query) * data.strides[2];
        const int64_t step = shape[3] == 1 ? 0 : data.strides[3];
        const int64_t end = shape[3] == 1 ? count : std::min(count, shape[3] - k0);
        for (int64_t j = 0; j < end; ++j) out[j] += from[(k0 + j) * step];
      }
    }
  }

  /// body(j, distance of key k0 + j from the row's query).
  template <typename Body>
  void each_distance(const BiasRow& row, int64_t k0, int64_t count, const Body& body) const {
    const int64_t from = bias_.query_positions ? bias_.query_positions->data<int32_t>()[row.token] : row.position;
    if (!bias_.key_positions) {
      for (int64_t j = 0; j < count; ++j) body(j, k0 + j - from);
      return;
    }
    const Shape& shape = bias_.key_positions->shape;
    const int32_t* positions = bias_.key_positions->data<int32_t>() + (shape[0] == 1 ? 0 : row.sequence * shape[1]);
    for (int64_t j = 0; j < count; ++j) body(j, (k0 + j < shape[1] ? positions[k0 + j] : k0 + j) - from);
  }

  void add_by_distance(const float* values, int64_t width, int64_t low, const BiasRow& row, int64_t k0, int64_t count,
                       float* out) const {
    each_distance(row, k0, count,
                  [&](int64_t j, int64_t d) { out[j] += values[std::clamp<int64_t>(d + low, 0, width - 1)]; });
  }

  const BiasOperand& bias_;
  bool scaled_ = false;
  bool unscaled_ = false;
};

}  // namespace heddle::cpu::HEDDLE_ISA
