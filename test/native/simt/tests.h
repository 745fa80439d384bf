#pragma once

#include "ops/linear.h"

namespace heddle::test {

// Each covers one op, or those that are read together; the first the simulator itself.
void test_simulator();
void test_copy();
void test_add();
void test_activate();
void test_linear();
void test_gated();
void test_layer_norm();
void test_rms_norm();
void test_rope();
void test_mask();
void test_softmax();
void test_argmax();
void test_embedding();
void test_gather_rows();
void test_kv_cache();
void test_attention();
void test_sample();
void test_end_of_sequence();

/// Bytes of a weight [n, k] in panels.
inline size_t panel_bytes_of(int64_t n, int64_t k) {
  return static_cast<size_t>((n + kPanelWidth - 1) / kPanelWidth * kPanelWidth * k) * sizeof(float);
}

}  // namespace heddle::test
