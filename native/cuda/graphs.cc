#include "cuda/graphs.h"

#include "cuda/backend.h"

namespace heddle::cuda {

void CudaGraphs::start() {
  for (Turn& turn : turns_) {
    void* memory = nullptr;
    backend_.check(backend_.library_.allocate_pinned(&memory, CudaBackend::kOutcomeBytes + kMostPosted), "device");
    turn.outcomes = static_cast<unsigned long long*>(memory);
    turn.posted = static_cast<char*>(memory) + CudaBackend::kOutcomeBytes;
    backend_.check(backend_.library_.create_event(&turn.passed), "device");
  }
}

void CudaGraphs::finish() {
  for (const Turn& turn : turns_) {
    if (turn.outcomes) backend_.library_.free_pinned(turn.outcomes);
    if (turn.passed) backend_.library_.destroy_event(turn.passed);
  }
}

bool CudaGraphs::begin_capture() { return backend_.captures_ = backend_.library_.begin_capture(backend_.stream_) == 0; }

void* CudaGraphs::end_capture() {
  backend_.captures_ = false;
  backend_.launched_ = 0;  // nothing was
  void* graph = nullptr;
  return backend_.library_.end_capture(backend_.stream_, &graph) == 0 ? graph : nullptr;
}

void CudaGraphs::destroy(void* graph) { backend_.library_.destroy_graph(graph); }

bool CudaGraphs::launch(void* graph, size_t num_ops, const std::vector<Part>& parts, int turn) {
  const Library& library = backend_.library_;
  void* const stream = backend_.stream_;
  const Turn& own = turns_[turn];
  if (library.launch_graph(graph, stream) != 0) return false;
  const auto post = [&](void* to, const void* from, size_t bytes) {
    if (bytes > 0) backend_.check(library.copy(to, from, bytes, stream), "program");
  };
  const size_t outcome_bytes = num_ops * sizeof *own.outcomes;
  post(own.outcomes, backend_.failures_, outcome_bytes);
  backend_.check(library.fill(backend_.failures_, 0xff, outcome_bytes, stream), "program");
  char* to = own.posted;
  for (const Part& part : parts) {
    post(to, part.from, part.bytes);
    to += part.bytes;
  }
  backend_.check(library.record(own.passed, stream), "program");
  return true;
}

void CudaGraphs::wait(int turn) {
  backend_.check_usable();
  backend_.check(backend_.library_.wait(turns_[turn].passed), "program");
}

}  // namespace heddle::cuda
