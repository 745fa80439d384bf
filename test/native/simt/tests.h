#pragma once

#include "ops/linear.h"

namespace heddle::test {

// Each covers one op, or those that are read together; the first two the simulator itself.
void test_simulator();
void test_hopper();
void test_copy();
void test_binary();
void test_where();
void test_activate();
void test_linear();
void test_quantized();
void test_linear_hopper();
void test_linear_attention();
void test_matmul();
void test_cast();
void test_gated();
void test_layer_norm();
void test_rms_norm();
void test_rope();
void test_mask();
void test_softmax();
void test_argmax();
void test_reduce();
void test_cross_entropy();
void test_embedding();
void test_gather_rows();
void test_scatter();
void test_concat();
void test_top_k();
void test_kv_cache();
void test_reorder();
void test_beam();
void test_attention();
void test_attention_half();
void test_attention_hopper();
void test_process_logits();
void test_token_report();
void test_sample();
void test_end_of_sequence();
void test_random();
void test_dropout();
void test_orthogonalize();
void test_favor_features();

/// Elements of a weight [n, k] in panels.
inline int64_t panel_elements_of(int64_t n, int64_t k) { return (n + kPanelWidth - 1) / kPanelWidth * kPanelWidth * k; }

}  // namespace heddle::test
