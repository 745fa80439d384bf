#include <cstring>

#include "simt/harness.h"
#include "simt/tests.h"

// Every CUDA kernel's source, compiled for the host and run by the simulator: against the plain formula in float64,
// and byte by byte under other schedules, in batches and in chunks. Prints a line an op and `N passed, N failed`.
// Arguments name the tests to run; without any, all run. --stop ends it at the first failure.

namespace {

struct Test {
  const char* name;
  void (*run)();
};

using namespace heddle::test;

const Test kTests[] = {
    {"simulator", test_simulator},
    {"hopper", test_hopper},
    {"copy", test_copy},
    {"binary", test_binary},
    {"where", test_where},
    {"activate", test_activate},
    {"cast", test_cast},
    {"gated", test_gated},
    {"linear", test_linear},
    {"quantized", test_quantized},
    {"linear_hopper", test_linear_hopper},
    {"linear_attention", test_linear_attention},
    {"matmul", test_matmul},
    {"layer_norm", test_layer_norm},
    {"rms_norm", test_rms_norm},
    {"rope", test_rope},
    {"softmax", test_softmax},
    {"argmax", test_argmax},
    {"reduce", test_reduce},
    {"cross_entropy", test_cross_entropy},
    {"embedding", test_embedding},
    {"gather_rows", test_gather_rows},
    {"scatter", test_scatter},
    {"concat", test_concat},
    {"top_k", test_top_k},
    {"kv_cache", test_kv_cache},
    {"reorder", test_reorder},
    {"beam", test_beam},
    {"mask", test_mask},
    {"attention", test_attention},
    {"attention_half", test_attention_half},
    {"attention_hopper", test_attention_hopper},
    {"process_logits", test_process_logits},
    {"token_report", test_token_report},
    {"sample", test_sample},
    {"end_of_sequence", test_end_of_sequence},
    {"random", test_random},
    {"dropout", test_dropout},
    {"orthogonalize", test_orthogonalize},
    {"favor_features", test_favor_features},
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], "--stop") == 0) {
    stop_at_failure = true;
    --argc;
    ++argv;
  }
  for (const Test& test : kTests) {
    bool wanted = argc == 1;
    for (int i = 1; i < argc; ++i) wanted = wanted || std::strcmp(argv[i], test.name) == 0;
    if (wanted) test.run();
  }
  return finish();
}
