#pragma once

#include "core/backend.h"

namespace heddle::cuda {

class CudaBackend;

/// CUDA graphs of ops. An op of a graph has the failure record that it would have were it launched by itself.
class CudaGraphs final : public GraphDevice {
 public:
  explicit CudaGraphs(CudaBackend& backend) : backend_(backend) {}

  /// The stream's first and last calls.
  void start();
  void finish();

  bool begin_capture() override;
  void* end_capture() override;
  void destroy(void* graph) override;
  bool launch(void* graph, size_t num_ops, const std::vector<Part>& parts, int turn) override;
  void wait(int turn) override;
  uint64_t outcome(int turn, size_t op) const override { return turns_[turn].outcomes[op]; }
  const char* posted(int turn) const override { return turns_[turn].posted; }

 private:
  struct Turn {
    unsigned long long* outcomes = nullptr;  // pinned, and with it what is posted
    char* posted = nullptr;
    void* passed = nullptr;  // an event
  };

  CudaBackend& backend_;
  Turn turns_[kTurns];
};

}  // namespace heddle::cuda
