#include "core/runtime.h"

#include <algorithm>
#include <cstring>

namespace heddle {
namespace {

/// Command: the end of a tensor, and of its storage if it was the last view.
struct FreeTensor {
  Tensor* tensor;
  Storage* storage;  // null while other views live
  void run(Stream& stream) const {
    if (storage) {
      stream.drop(*storage);
      stream.count_freed(storage->bytes);
    }
    delete storage;
    delete tensor;
  }
};

}  // namespace

Runtime::~Runtime() {
  settle();
  if (recording_) cancel_recording();
  programs_.each([this](Program* program) { release_program(program); });
  tensors_.each([this](Tensor* tensor) { release(tensor); });
  channels_.each([this](Channel* channel) { disown(channel); });
}

Tensor* Runtime::make(Stream& stream, DType dtype, const Shape& shape, Layout layout) {
  check_size(shape);
  Storage* const storage = make_storage(stream, bytes_of(dtype, shape, layout));
  return adopt(storage, dtype, layout, shape, contiguous_strides(shape), 0);
}

Tensor* Runtime::make_filled(Stream& stream, DType dtype, const Shape& shape, const void* values) {
  Tensor* const tensor = make(stream, dtype, shape);
  Storage& storage = *tensor->storage;
  // Taken ahead of the queue, which may still hold what was disposed of.
  const size_t held = live_bytes_ + disposed_bytes_ - stream_.freed_bytes();
  if (held > memory_limit_) fail_limit(storage.bytes, held - storage.bytes);
  storage.recording = 0;  // a constant, even while recording
  storage.data = stream_.allocator().allocate(storage.bytes);
  if (storage.bytes > 0) std::memcpy(storage.data, values, storage.bytes);
  return tensor;
}

Tensor* Runtime::make_view(const Tensor* base, const Shape& shape, const Shape& strides, int64_t offset) {
  check_size(shape);
  return adopt(base->storage, base->dtype, Layout::kStrided, shape, strides, offset);
}

void Runtime::fail_limit(size_t bytes, size_t held) const {
  throw Error(ErrorKind::kRuntime, "QUEUE_FULL",
              concat("[heddle] ", bytes, " bytes more would pass the memory limit of ", memory_limit_, " bytes (", held,
                     " are held): dispose of tensors, or await sync()"));
}

Storage* Runtime::make_storage(Stream& stream, size_t bytes) {
  if (bytes > memory_limit_ || live_bytes_ > memory_limit_ - bytes) fail_limit(bytes, live_bytes_);
  Storage* const storage = new Storage;
  storage->stream = &stream;
  storage->bytes = bytes;
  storage->recording = recording_ ? recording_id_ : 0;
  live_bytes_ += bytes;
  return storage;
}

Tensor* Runtime::adopt(Storage* storage, DType dtype, Layout layout, const Shape& shape, const Shape& strides,
                       int64_t offset) {
  ++storage->tensors;
  ++storage->handles;
  Tensor* const tensor = new Tensor{storage, dtype, layout, shape, strides, offset, 1};
  unpublished_.push_back(tensor);
  return tensor;
}

Runtime::Handle Runtime::publish(Tensor* tensor) {
  unpublished_.erase(std::find(unpublished_.begin(), unpublished_.end(), tensor));
  return tensors_.open(tensor);
}

bool Runtime::dispose(Handle handle) {
  Tensor* const tensor = tensors_.close(handle);
  if (!tensor) return false;
  release(tensor);
  return true;
}

void Runtime::settle() {
  for (Tensor* tensor : unpublished_) release(tensor);
  unpublished_.clear();
}

/// Gives up the claim that a handle (or an unpublished tensor) has.
void Runtime::release(Tensor* tensor) {
  Storage* const storage = tensor->storage;
  const bool nameless = --storage->handles == 0;
  const bool freed = disown(tensor);
  if (nameless && !freed && recording_ && storage->recording == recording_id_) {
    recording_->records.push_back(Record::of(DropMemory{storage}));
  }
}

/// True if the storage went too.
bool Runtime::disown(Tensor* tensor) {
  if (--tensor->owners > 0) return false;
  Storage* const storage = tensor->storage;
  const bool last = --storage->tensors == 0;
  if (last) {
    live_bytes_ -= storage->bytes;
    disposed_bytes_ += storage->bytes;
  }
  push(FreeTensor{tensor, last ? storage : nullptr}, true);
  return last;
}

void Runtime::check_depth(const char* function) const {
  if (stream_.pending_work() < kMaxPending) return;
  throw Error(
      ErrorKind::kRuntime, "QUEUE_FULL",
      concat("[", function, "] ", stream_.pending_work(), " operations wait already: await sync() now and then"));
}

void Runtime::record(const Record& record, const Tensor* const* reads, size_t num_reads, Tensor* const* writes,
                     size_t num_writes) {
  recording_->records.push_back(record);
  for (size_t i = 0; i < num_reads; ++i) {
    if (reads[i]) own(*recording_, const_cast<Tensor*>(reads[i]));
  }
  for (size_t i = 0; i < num_writes; ++i) {
    if (writes[i]) own(*recording_, writes[i]);
  }
}

void Runtime::submit(const Emit& op) {
  const auto reads = op.reads();
  if (recording_) {
    auto& channels = recording_->channels;
    if (std::find(channels.begin(), channels.end(), op.channel) == channels.end()) {
      channels.push_back(op.channel);
      ++op.channel->owners;
    }
    return record(Record::of(op), reads.data(), reads.size(), nullptr, 0);
  }
  check_depth(Emit::kName);
  push(op);
}

void Runtime::own(Program& program, Tensor* tensor) {
  if (std::find(program.tensors.begin(), program.tensors.end(), tensor) != program.tensors.end()) return;
  program.tensors.push_back(tensor);
  ++tensor->owners;
}

void Runtime::begin_recording() {
  if (recording_) throw Error(ErrorKind::kRuntime, "RECORDING", "[program] a program is being recorded already");
  recording_ = new Program;
  ++recording_id_;
}

Runtime::Handle Runtime::end_recording() { return programs_.open(std::exchange(recording_, nullptr)); }

void Runtime::cancel_recording() { release_program(std::exchange(recording_, nullptr)); }

bool Runtime::dispose_program(Handle handle) {
  Program* const program = programs_.close(handle);
  if (program) release_program(program);
  return program != nullptr;
}

void Runtime::release_program(Program* program) {
  for (Tensor* tensor : program->tensors) disown(tensor);
  for (Channel* channel : program->channels) disown(channel);
  push(Delete<Program>{program}, true);
}

bool Runtime::dispose_channel(Handle handle) {
  Channel* const channel = channels_.close(handle);
  if (channel) disown(channel);
  return channel != nullptr;
}

void Runtime::disown(Channel* channel) {
  if (--channel->owners == 0) push(Delete<Channel>{channel}, true);
}

int64_t Runtime::take_live_bytes_change() {
  const int64_t change = static_cast<int64_t>(live_bytes_) - static_cast<int64_t>(told_bytes_);
  told_bytes_ = live_bytes_;
  return change;
}

}  // namespace heddle
