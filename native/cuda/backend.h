#pragma once

#include <vector>

#include "core/backend.h"
#include "core/error.h"
#include "core/stream.h"
#include "cuda/graphs.h"
#include "cuda/library.h"

namespace heddle::cuda {

/// A CUDA device behind a stream of ours: what runs on the stream's thread feeds one CUDA stream. Every call of CUDA's
/// is made on that thread.
class CudaBackend final : private MemorySource, public Backend {
 public:
  CudaBackend(int index, size_t memory_bytes);
  ~CudaBackend() override;

  void start() override;
  void finish() override;
  void copy_in(void* to, const void* from, size_t bytes) override;
  void copy_out(void* to, const void* from, size_t bytes) override;
  bool runs_behind() const override { return true; }
  void wait() override;
  uint64_t outcome(size_t n) const override { return outcomes_[n]; }
  void forget_outcomes() override;
  GraphDevice* graphs() override { return &graphs_; }

  template <typename Op>
  void launch(const Op& op, int (*run)(const Op* op, CudaContext* context)) {
    check_usable();
    CudaContext context{stream_, failures_ + launched_, &CudaBackend::allocate_scratch,
                        this,    multiprocessors_,      compute_capability_};
    const int status = run(&op, &context);
    free_scratch();
    check(status, Op::kName);
    ++launched_;
  }

 private:
  friend class CudaGraphs;
  static constexpr size_t kOutcomeBytes = Stream::kMaxLaunched * sizeof(unsigned long long);
  /// Pinned memory in two halves: one is filled and copied from while the other's copies run.
  struct Staging {
    char* memory = nullptr;
    void* passed[2] = {};  // events: the copies of a half are done
    int half = 0;
    size_t used = 0;
  };
  /// A copy on its way to the host.
  struct Reading {
    void* to;
    const char* from;
    size_t bytes;
  };

  static void* allocate_scratch(void* owner, size_t bytes);
  void free_scratch();
  void* take(size_t bytes) override;
  void give_back(void* block) override;

  void check_usable() const;
  void check(int status, const char* function);
  void finish_readings();
  /// At most `bytes` of pinned memory, free to be filled.
  char* stage(size_t bytes);

  const Library& library_;
  const std::string name_;
  std::string lost_;  // why it cannot be used any more
  void* stream_ = nullptr;
  unsigned long long* failures_ = nullptr;  // on the device, one an op: kNoFailure until it finds its data wrong
  unsigned long long* outcomes_ = nullptr;  // the same, pinned
  int multiprocessors_ = 1;
  int compute_capability_ = 0;
  size_t launched_ = 0;
  bool captures_ = false;
  CudaGraphs graphs_{*this};
  std::vector<void*> scratch_;
  Staging in_;
  char* out_ = nullptr;  // pinned
  size_t out_used_ = 0;
  std::vector<Reading> readings_;
};

}  // namespace heddle::cuda
