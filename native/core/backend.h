#pragma once

#include <cstddef>
#include <cstdint>

#include "core/allocator.h"
#include "core/device.h"

namespace heddle {

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

  static constexpr uint64_t kNoFailure = ~uint64_t{0};

 private:
  const Device device_;
  Allocator allocator_;
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
