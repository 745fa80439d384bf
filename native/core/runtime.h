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

  Runtime() = default;
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  Stream& stream() { return stream_; }

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
  Tensor* make_view(const Tensor* base, const Shape& shape, const Shape& strides, int64_t offset);

  Handle publish(Tensor* tensor);
  /// Null if disposed.
  Tensor* find(Handle handle) const { return tensors_.get(handle); }
  /// Gives up JavaScript's claim. False if it was given up before.
  bool dispose(Handle handle);
  /// Ends a call from JavaScript: what it made and did not publish goes, in stream order.
  void settle();

  // ---- work

  template <typename Op>
  void submit(const Op& op) {
    if (recording_) {
      record(Record::of(RunOp<Op>{op}), op.reads().data(), op.reads().size(), op.writes().data(), op.writes().size());
      return;
    }
    check_depth(Op::kName);
    stream_.push(Record::of(RunOp<Op>{op}));
  }
  void submit(const Emit& op);
  /// A command that is never recorded.
  template <typename Command>
  void push(const Command& command, bool cleanup = false) {
    stream_.push(Record::of(command, cleanup));
  }
  void check_depth(const char* function) const;

  // ---- programs and channels

  void begin_recording();
  Handle end_recording();
  void cancel_recording();
  bool recording() const { return recording_ != nullptr; }
  Program* find_program(Handle handle) const { return programs_.get(handle); }
  bool dispose_program(Handle handle);
  Handle open_channel(std::function<void()> wake) { return channels_.open(new Channel(std::move(wake))); }
  Channel* find_channel(Handle handle) const { return channels_.get(handle); }
  bool dispose_channel(Handle handle);

  // ---- memory

  /// Bytes of all tensors that are alive, in program order.
  size_t live_bytes() const { return live_bytes_; }
  size_t memory_limit() const { return memory_limit_; }
  void set_memory_limit(size_t bytes) { memory_limit_ = bytes; }
  /// Change of live_bytes since the last call: what V8 should be told.
  int64_t take_live_bytes_change();

 private:
  Tensor* adopt(Storage* storage, DType dtype, Layout layout, const Shape& shape, const Shape& strides, int64_t offset);
  Storage* make_storage(Stream& stream, size_t bytes);
  [[noreturn]] void fail_limit(size_t bytes, size_t held) const;
  void record(const Record& record, const Tensor* const* reads, size_t num_reads, Tensor* const* writes,
              size_t num_writes);
  void own(Program& program, Tensor* tensor);
  void release(Tensor* tensor);
  bool disown(Tensor* tensor);
  void release_program(Program* program);
  void disown(Channel* channel);

  Stream stream_{Device{}};
  HandleTable<Tensor> tensors_;
  HandleTable<Program> programs_;
  HandleTable<Channel> channels_;
  std::vector<Tensor*> unpublished_;
  Program* recording_ = nullptr;
  int64_t recording_id_ = 0;
  size_t live_bytes_ = 0;
  size_t disposed_bytes_ = 0;  // in all; the stream counts what it has freed
  size_t told_bytes_ = 0;
  size_t memory_limit_ = SIZE_MAX;
};

}  // namespace heddle
