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
  if (!is_open) throw Error(ErrorKind::kRuntime, "OUT_OF_MEMORY", "[program] a step took more memory than the last");
  try {
    return from.allocate(bytes);
  } catch (const Error&) {
    return nullptr;  // whoever asked says so
  }
}

Graph* Graph::of(Stream& stream, Program& program) {
  if (program.graph) return program.graph.get();
  size_t bytes = 0;
  for (const Emit& emit : program.emits) bytes += emit.bytes();
  const bool fits = program.stream == &stream && program.emits_last && bytes <= GraphDevice::kMostPosted;
  if (!fits || !stream.backend_->graphs()) return nullptr;
  try {
    program.graph.reset(new Graph(stream, program));
  } catch (const std::bad_alloc&) {
    return nullptr;  // op by op, where it is said what lacks memory
  }
  return program.graph.get();
}

Graph::Graph(Stream& stream, const Program& program)
    : stream_(stream),
      program_(program),
      device_(*stream.backend_->graphs()),
      lender_(stream.allocator()),
      memory_(lender_, SIZE_MAX) {
  capture_.parts.reserve(2 * program.emits.size());
}

Graph::~Graph() {
  if (captured_) device_.destroy(captured_);
}

void Graph::step(int64_t left) {
  bool may_launch = phase_ == Phase::kLaunches || (phase_ == Phase::kCaptures && left >= kWorthCapturing);
  if (may_launch && under_way_ == 0) {
    stream_.settle();
    may_launch = is_clean();  // while steps are under way, they alone may change that
  }
  if (may_launch && !has_failed_ && !is_ended()) {
    if (phase_ == Phase::kCaptures) phase_ = capture();
    if (phase_ == Phase::kLaunches) phase_ = launch();
    if (phase_ == Phase::kLaunches) return;
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

Graph::Phase Graph::capture() {
  if (!device_.begin_capture()) return Phase::kByOps;
  lender_.is_open = false;
  {
    const MemoryFrom own(*stream_.backend_, memory_);
    stream_.capture_ = &capture_;
    program_.run(stream_);  // every op catches what it throws
    stream_.capture_ = nullptr;
  }
  captured_ = device_.end_capture();
  lender_.is_open = true;
  if (capture_.is_whole && captured_) return Phase::kLaunches;
  memory_.trim();
  return Phase::kByOps;
}

Graph::Phase Graph::launch() {
  try {
    if (!device_.launch(captured_, capture_.ops.size(), capture_.parts, next_turn_)) return Phase::kByOps;
  } catch (const Error& error) {
    stream_.lose(stream_.share(error));  // what it launched cannot be taken back
  }
  stream_.graph_steps_.fetch_add(1, std::memory_order_relaxed);
  next_turn_ = (next_turn_ + 1) % GraphDevice::kTurns;
  if (++under_way_ == GraphDevice::kTurns) end_step();
  return Phase::kLaunches;
}

/// The oldest: what becomes of its ops is settled as ever, unless all went well, when nothing changes.
void Graph::end_step() {
  const int turn = (next_turn_ + GraphDevice::kTurns - under_way_--) % GraphDevice::kTurns;
  try {
    if (!stream_.lost_) device_.wait(turn);
  } catch (const Error& error) {
    stream_.lose(stream_.share(error));
  }
  const auto outcome = [&](size_t op) { return stream_.lost_ ? Backend::kNoFailure : device_.outcome(turn, op); };
  const size_t num_ops = capture_.ops.size();
  has_failed_ = has_failed_ || stream_.lost_;
  for (size_t i = 0; i < num_ops && !has_failed_; ++i) has_failed_ = outcome(i) != Backend::kNoFailure;
  for (size_t i = 0; i < num_ops && has_failed_; ++i) capture_.ops[i].conclude(stream_, capture_.ops[i].op, outcome(i));

  const char* posted = device_.posted(turn);
  const bool is_behind = was_last_;
  for (const Emit& emit : program_.emits) {
    if (is_behind) {
      emit.drop_posted(stream_);
    } else if (emit.send_posted(stream_, posted)) {
      was_last_ = true;  // of what the other emits of the step are told, too
    }
    posted += emit.bytes();
  }
}

void Graph::finish() {
  while (under_way_ > 0) end_step();
  has_failed_ = was_last_ = false;
}

bool Graph::is_ended() const { return stream_.lost_ || (stream_.abort_source_ && stream_.abort_source_->aborted()); }

bool Graph::is_clean() const {
  const auto& tensors = program_.tensors;
  return !is_ended() &&
         std::none_of(tensors.begin(), tensors.end(), [](const Tensor* tensor) { return tensor->storage->poison; });
}

}  // namespace heddle
