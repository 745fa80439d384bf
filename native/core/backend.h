#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"

namespace heddle {

/// What a device does for graphs, where it has them: see Graph.
class GraphDevice {
 public:
  /// Of the device's memory.
  struct Part {
    const void* from;
    size_t bytes;
  };
  /// Launches that may be under way, each with a place of its own for what it posts.
  static constexpr int kTurns = 2;
  static constexpr size_t kMostPosted = size_t{64} << 10;

  virtual ~GraphDevice() = default;

  /// What is launched from here on does not run, but becomes a graph. False if the device refuses.
  virtual bool begin_capture() = 0;
  /// Null if what was launched is none.
  virtual void* end_capture() = 0;
  virtual void destroy(void* graph) = 0;
  /// Launches a graph and posts, behind it, the outcomes of its ops and the parts, kMostPosted bytes at most. False if
  /// the device refuses the graph; throws if it refuses what comes behind.
  virtual bool launch(void* graph, size_t num_ops, const std::vector<Part>& parts, int turn) = 0;
  /// Waits for what a launch posts. Throws DEVICE_LOST.
  virtual void wait(int turn) = 0;
  virtual uint64_t outcome(int turn, size_t op) const = 0;
  /// The parts, one behind another.
  virtual const char* posted(int turn) const = 0;
};

/// What a stream needs of its device. All but the allocator's statistics belongs to the stream's thread, or to whom
/// the stream is lent while idle.
class Backend {
 public:
  Backend(Device device, MemorySource& source, size_t max_cached) : device_(device), allocator_(source, max_cached) {}
  virtual ~Backend() = default;
  Backend(const Backend&) = delete;
  Backend& operator=(const Backend&) = delete;

  Device device() const { return device_; }
  Allocator& allocator() { return allocator_; }
  /// What ops make takes memory from here: the allocator, or what else is set until null is.
  Allocator& memory() { return memory_ ? *memory_ : allocator_; }
  void set_memory(Allocator* memory) { memory_ = memory; }

  /// The thread's first and last calls.
  virtual void start() {}
  virtual void finish() {}

  /// Host memory to the device's; `from` may go when this returns.
  virtual void copy_in(void* to, const void* from, size_t bytes) = 0;
  /// The device's memory to the host's, in stream order. `to` has it after `wait`. Throws DEVICE_LOST.
  virtual void copy_out(void* to, const void* from, size_t bytes) = 0;

  /// Whether the device runs behind: then an op that was launched may turn out to have failed.
  virtual bool runs_behind() const { return false; }
  /// Waits until all that was launched has run. Throws DEVICE_LOST.
  virtual void wait() {}
  /// Of the n-th op launched since the last `forget_outcomes`, once waited for: what `fail_late` makes an error of, or
  /// kNoFailure.
  virtual uint64_t outcome(size_t) const { return kNoFailure; }
  virtual void forget_outcomes() {}
  /// Null where the device has no graphs.
  virtual GraphDevice* graphs() { return nullptr; }

  static constexpr uint64_t kNoFailure = ~uint64_t{0};

 private:
  const Device device_;
  Allocator allocator_;
  Allocator* memory_ = nullptr;
};

/// The system's memory, for whoever needs it.
MemorySource& host_memory();

/// The CPU: ops have run when they return.
class CpuBackend final : public Backend {
 public:
  CpuBackend();
  void start() override;
  void copy_in(void* to, const void* from, size_t bytes) override;
  void copy_out(void* to, const void* from, size_t bytes) override;
};

}  // namespace heddle
