#pragma once

#include <memory>
#include <vector>

#include "core/handle_table.h"
#include "core/program.h"
#include "core/stream.h"

namespace heddle {

/// The JavaScript thread's side of one isolate: tensors and their owners, what may be queued, what is being recorded.
/// Every member function is called on that thread.
class Runtime {
 public:
  using Handle = HandleTable<Tensor>::Handle;

  /// Ops that may wait in the queue before a call throws QUEUE_FULL.
  static constexpr size_t kMaxPending = 4096;

  Runtime() : cpu_(stream(Device{})) {}
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  /// The stream of a device, opened when first asked for. Throws RangeError, with the reason, if it cannot be used.
  Stream& stream(Device device);
  Stream& cpu() const { return cpu_; }
  /// Those that are open, the CPU's first.
  const std::vector<std::unique_ptr<Stream>>& streams() const { return streams_; }

  // ---- tensors. A tensor made here is dropped by `settle` unless it was published.

  /// A dense tensor with memory still to be taken. Throws QUEUE_FULL past the memory limit, RangeError for a size that
  /// no memory has.
  Tensor* make(Stream& stream, DType dtype, const Shape& shape, Layout layout = Layout::kStrided);
  /// The same on the device of another tensor.
  Tensor* make(const Tensor* beside, DType dtype, const Shape& shape, Layout layout = Layout::kStrided) {
    return make(*beside->storage->stream, dtype, shape, layout);
  }
  /// With `values`, dense, which are copied before this returns.
  Tensor* make_filled(Stream& stream, DType dtype, const Shape& shape, const void* values);
  Tensor* make_filled(const Tensor* beside, DType dtype, const Shape& shape, const void* values) {
    return make_filled(*beside->storage->stream, dtype, shape, values);
  }
  /// The same value on another device: a copy in the order of both streams. x is dense or in panels.
  Tensor* transfer(const Tensor* x, Stream& to);
  /// The same tensor under another name.
  Tensor* make_alias(const Tensor* base) {
    return adopt(base->storage, base->dtype, base->layout, base->shape, base->strides, base->offset);
  }
  Tensor* make_view(const Tensor* base, const Shape& shape, const Shape& strides, int64_t offset);

  Handle publish(Tensor* tensor);
  /// Null if disposed.
  Tensor* find(Handle handle) const { return tensors_.get(handle); }
  /// Gives up JavaScript's claim. False if it was given up before.
  bool dispose(Handle handle);
  /// Ends a call from JavaScript: what it made and did not publish goes, in stream order.
  void settle();

  // ---- work

  /// Queues an op on the device of its tensors. Throws TypeError if they are on several, QUEUE_FULL; `function` is what
  /// users called.
  template <typename Op>
  void submit(const Op& op, const char* function = Op::kName) {
    const auto reads = op.reads();
    const auto writes = op.writes();
    Stream& stream = common_stream(function, reads.data(), reads.size(), writes.data(), writes.size());
    const Record record = Record::of(RunOp<Op>{op});
    if (recording_) {
      recording_->emits_last = recording_->emits.empty();
      return this->record(stream, record, reads.data(), reads.size(), writes.data(), writes.size());
    }
    check_depth(function, stream);
    stream.push(record);
  }
  void submit(const Emit& op);
  void check_depth(const char* function, const Stream& stream) const;

  // ---- programs and channels

  void begin_recording();
  Handle end_recording();
  void cancel_recording();
  bool recording() const { return recording_ != nullptr; }
  Program* find_program(Handle handle) const { return programs_.get(handle); }
  bool dispose_program(Handle handle);
  /// For work on one device.
  Handle open_channel(Stream& stream, std::function<void()> wake) {
    return channels_.open(new Channel(stream, std::move(wake)));
  }
  Channel* find_channel(Handle handle) const { return channels_.get(handle); }
  bool dispose_channel(Handle handle);

  // ---- memory

  /// Change of the bytes of all live tensors since the last call: what V8 should be told.
  int64_t take_live_bytes_change();

 private:
  Tensor* adopt(Storage* storage, DType dtype, Layout layout, const Shape& shape, const Shape& strides, int64_t offset);
  Storage* make_storage(Stream& stream, size_t bytes);
  [[noreturn]] static void fail_limit(const Stream& stream, size_t bytes, size_t held);
  static Stream& common_stream(const char* function, const Tensor* const* reads, size_t num_reads,
                               Tensor* const* writes, size_t num_writes);
  void record(Stream& stream, const Record& record, const Tensor* const* reads, size_t num_reads, Tensor* const* writes,
              size_t num_writes);
  void own(Program& program, Tensor* tensor);
  void release(Tensor* tensor);
  bool disown(Tensor* tensor);
  void release_program(Program* program);
  void disown(Channel* channel);

  std::vector<std::unique_ptr<Stream>> streams_;
  Stream& cpu_;
  HandleTable<Tensor> tensors_;
  HandleTable<Program> programs_;
  HandleTable<Channel> channels_;
  std::vector<Tensor*> unpublished_;
  Program* recording_ = nullptr;
  int64_t recording_id_ = 0;
  size_t told_bytes_ = 0;
};

}  // namespace heddle
