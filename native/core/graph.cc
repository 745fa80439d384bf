#include "core/graph.h"

#include <algorithm>

#include "core/channel.h"
#include "core/program.h"

namespace heddle {
namespace {

/// What ops make takes its memory from here, to the end of the scope.
class MemoryFrom {
 public:
  MemoryFrom(Backend& backend, Allocator& memory) : backend_(backend) { backend.set_memory(&memory); }
  ~MemoryFrom() { backend_.set_memory(nullptr); }
  MemoryFrom(const MemoryFrom&) = delete;
  MemoryFrom& operator=(const MemoryFrom&) = delete;

 private:
  Backend& backend_;
};

}  // namespace

void* Graph::Lender::take(size_t bytes) {
  try {
    return is_open ? from.allocate(bytes) : nullptr;
  } catch (const Error&) {
    return nullptr;  // whoever asked says so
  }
}

std::unique_ptr<Graph> Graph::of(Stream& stream, const Program& program) {
  size_t bytes = 0;
  for (const Emit& emit : program.emits) bytes += emit.bytes();
  const bool fits = program.emits_last && bytes <= GraphDevice::kMostPosted;
  return std::unique_ptr<Graph>(fits && stream.backend_->graphs() ? new Graph(stream, program) : nullptr);
}

Graph::Graph(Stream& stream, const Program& program)
    : stream_(stream),
      program_(program),
      device_(*stream.backend_->graphs()),
      lender_(stream.allocator()),
      memory_(lender_, SIZE_MAX) {}

Graph::~Graph() {
  if (captured_) device_.destroy(captured_);
}

void Graph::step(int64_t left) {
  const bool may_launch = phase_ == Phase::kLaunches || (phase_ == Phase::kCaptures && left >= kWorthCapturing);
  if (may_launch && is_clean()) {
    if (under_way_ == 0) stream_.settle();
    if (phase_ == Phase::kCaptures) phase_ = capture() ? Phase::kLaunches : Phase::kByOps;
    if (phase_ == Phase::kLaunches && launch()) return;
  }
  finish();
  run_ops();
}

void Graph::run_ops() {
  if (phase_ == Phase::kMeasures) {
    const MemoryFrom own(*stream_.backend_, memory_);
    program_.run(stream_);
    if (is_clean()) phase_ = Phase::kCaptures;
  } else {
    program_.run(stream_);
    if (phase_ == Phase::kFirst && is_clean()) phase_ = Phase::kMeasures;
  }
}

bool Graph::capture() {
  if (!device_.begin_capture()) return false;
  lender_.is_open = false;
  {
    const MemoryFrom own(*stream_.backend_, memory_);
    stream_.capture_ = &capture_;
    program_.run(stream_);  // every op catches what it throws
    stream_.capture_ = nullptr;
  }
  captured_ = device_.end_capture();
  return capture_.is_whole && captured_;
}

bool Graph::launch() {
  try {
    device_.launch(captured_, capture_.ops.size(), capture_.parts, next_turn_);
  } catch (const Error&) {
    phase_ = Phase::kByOps;  // where it fails again, and says so
    return false;
  }
  next_turn_ = (next_turn_ + 1) % GraphDevice::kTurns;
  if (++under_way_ == GraphDevice::kTurns) end_step();
  return true;
}

/// The oldest: what becomes of its ops is settled as ever, unless all went well, when nothing changes.
void Graph::end_step() {
  const int turn = (next_turn_ + GraphDevice::kTurns - under_way_--) % GraphDevice::kTurns;
  try {
    device_.wait(turn);
  } catch (const Error& error) {
    stream_.lose(stream_.share(error));
  }
  for (size_t i = 0; i < capture_.ops.size(); ++i) {
    const uint64_t outcome = stream_.lost_ ? Backend::kNoFailure : device_.outcome(turn, i);
    has_failed_ = has_failed_ || outcome != Backend::kNoFailure;
  }
  if (has_failed_ || stream_.lost_) {
    for (size_t i = 0; i < capture_.ops.size(); ++i) {
      const auto& [conclude, op] = capture_.ops[i];
      conclude(stream_, op, stream_.lost_ ? Backend::kNoFailure : device_.outcome(turn, i));
    }
  }
  const char* posted = device_.posted(turn);
  for (const Emit& emit : program_.emits) {
    emit.send_posted(stream_, posted);
    posted += emit.bytes();
  }
}

void Graph::finish() {
  while (under_way_ > 0) end_step();
  if (!std::exchange(has_failed_, false) || stream_.lost_) return;
  device_.forget_outcomes();
}

bool Graph::is_clean() const {
  if (stream_.lost_ || (stream_.abort_source_ && stream_.abort_source_->aborted())) return false;
  const auto& tensors = program_.tensors;
  return std::none_of(tensors.begin(), tensors.end(), [](const Tensor* tensor) { return tensor->storage->poison; });
}

}  // namespace heddle
