#pragma once

#include <memory>
#include <vector>

#include "core/allocator.h"
#include "core/stream.h"

namespace heddle {

struct Program;

/// A program's steps on a device that runs behind and has graphs: all ops of a step are one launch, and what a step
/// emits is read while the next one runs.
///
/// Two steps run op by op first. By the first, whatever outlives a step has its memory; the second takes what does not
/// from memory that the graph keeps, and shows how much that is. The third is captured there. Steps that begin with
/// poison, or are aborted, run op by op again: what becomes of them is the same either way.
class Graph {
 public:
  /// The program's, made where there is none. Null where the device has no graphs, or the program is not for them: what
  /// it emits must come last, and not be much.
  static Graph* of(Stream& stream, Program& program);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Begins a step, of `left` that the loop has left, and ends those before the last.
  void step(int64_t left);
  /// Ends what is under way.
  void finish();

 private:
  enum class Phase { kFirst, kMeasures, kCaptures, kLaunches, kByOps };
  /// Steps that a capture is worth.
  static constexpr int64_t kWorthCapturing = 8;

  /// Lends the stream's memory to the graph's own allocator; not while a graph is captured, when none may be taken.
  struct Lender final : MemorySource {
    explicit Lender(Allocator& from) : from(from) {}
    void* take(size_t bytes) override;
    void give_back(void* block) override { from.free(block); }
    Allocator& from;
    bool is_open = true;
  };

  Graph(Stream& stream, const Program& program);
  void run_ops();
  /// The phase that follows.
  Phase capture();
  Phase launch();
  void end_step();
  bool is_ended() const;
  /// No op of the program would find poison, or an abort.
  bool is_clean() const;

  Stream& stream_;
  const Program& program_;
  GraphDevice& device_;
  Lender lender_;
  Allocator memory_;  // of what a step makes and drops
  Phase phase_ = Phase::kFirst;
  void* captured_ = nullptr;
  Stream::Capture capture_;
  int next_turn_ = 0;
  int under_way_ = 0;
  bool has_failed_ = false;  // since nothing was under way: there may be poison
  bool was_last_ = false;    // a step since then told the end
};

}  // namespace heddle
