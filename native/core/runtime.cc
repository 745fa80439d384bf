#include "core/runtime.h"

#include <algorithm>
#include <cstring>

#include "core/transfer.h"

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
    stream.bury(std::unique_ptr<Tensor>(tensor), std::unique_ptr<Storage>(storage));
  }
};

}  // namespace

Runtime::~Runtime() {
  settle();
  if (recording_) cancel_recording();
  programs_.each([this](Program* program) { release_program(program); });
  tensors_.each([this](Tensor* tensor) { release(tensor); });
  channels_.each([this](Channel* channel) { disown(channel); });
  for (const auto& stream : streams_) stream->stop();  // all, before one is waited for
}

Stream& Runtime::stream(Device device) {
  for (const auto& stream : streams_) {
    if (stream->device() == device) return *stream;
  }
  return *streams_.emplace_back(std::make_unique<Stream>(open_backend(device)));
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
  const size_t held = stream.account.live + stream.account.disposed - stream.freed_bytes();
  if (held > stream.account.limit) fail_limit(stream, storage.bytes, held - storage.bytes);
  storage.recording = 0;  // a constant, even while recording
  if (stream.on_host()) {
    storage.data = stream.allocator().allocate(storage.bytes);
    stream.copy_in(storage.data, values, storage.bytes);
  } else {
    auto* const copy = new std::byte[storage.bytes];
    if (storage.bytes > 0) std::memcpy(copy, values, storage.bytes);
    stream.push(Record::of(Upload{tensor, copy}, true));
  }
  return tensor;
}

Tensor* Runtime::transfer(const Tensor* x, Stream& to) {
  if (recording_) throw Error(ErrorKind::kRuntime, "RECORDING", "[to] a program stays on one device");
  Stream& from = *x->storage->stream;
  check_depth("to", from);
  check_depth("to", to);
  Tensor* const out = make(to, x->dtype, x->shape, x->layout);
  auto* const parcel = new Parcel;
  from.push(Record::of(Send{x, parcel}, true));
  to.push(Record::of(Receive{parcel, out}, true));
  return out;
}

Tensor* Runtime::make_view(const Tensor* base, const Shape& shape, const Shape& strides, int64_t offset) {
  check_size(shape);
  return adopt(base->storage, base->dtype, Layout::kStrided, shape, strides, offset);
}

void Runtime::fail_limit(const Stream& stream, size_t bytes, size_t held) {
  throw Error(
      ErrorKind::kRuntime, "QUEUE_FULL",
      concat("[heddle] ", bytes, " bytes more would pass the memory limit of ", stream.account.limit, " bytes of ",
             name_of(stream.device()), " (", held, " are held): dispose of tensors, or await sync()"));
}

Storage* Runtime::make_storage(Stream& stream, size_t bytes) {
  auto& account = stream.account;
  if (bytes > account.limit || account.live > account.limit - bytes) fail_limit(stream, bytes, account.live);
  Storage* const storage = new Storage;
  storage->stream = &stream;
  storage->bytes = bytes;
  storage->recording = recording_ ? recording_id_ : 0;
  account.live += bytes;
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
    storage->stream->account.live -= storage->bytes;
    storage->stream->account.disposed += storage->bytes;
  }
  storage->stream->push(Record::of(FreeTensor{tensor, last ? storage : nullptr}, true));
  return last;
}

Stream& Runtime::common_stream(const char* function, const Tensor* const* reads, size_t num_reads,
                               Tensor* const* writes, size_t num_writes) {
  Stream* common = nullptr;
  const auto meet = [&](const Tensor* tensor) {
    if (!tensor) return;
    Stream* const stream = tensor->storage->stream;
    if (!common) common = stream;
    if (stream == common) return;
    throw_type_error("[", function, "] tensors are on ", name_of(common->device()), " and on ",
                     name_of(stream->device()), ": bring them to one device with to()");
  };
  std::for_each(reads, reads + num_reads, meet);
  std::for_each(writes, writes + num_writes, meet);
  return *common;
}

void Runtime::check_depth(const char* function, const Stream& stream) const {
  if (stream.pending_work() < kMaxPending) return;
  throw Error(
      ErrorKind::kRuntime, "QUEUE_FULL",
      concat("[", function, "] ", stream.pending_work(), " operations wait already: await sync() now and then"));
}

void Runtime::record(Stream& stream, const Record& record, const Tensor* const* reads, size_t num_reads,
                     Tensor* const* writes, size_t num_writes) {
  if (recording_->stream && recording_->stream != &stream) {
    throw_type_error("[program] its ops are on ", name_of(recording_->stream->device()), " and on ",
                     name_of(stream.device()), ": a program stays on one device");
  }
  recording_->stream = &stream;
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
  Stream& stream = common_stream(Emit::kName, reads.data(), reads.size(), nullptr, 0);
  if (&stream != &op.channel->stream) {
    throw_type_error("[emit] tokens are on ", name_of(stream.device()), " but the channel is for ",
                     name_of(op.channel->stream.device()));
  }
  if (recording_) {
    auto& channels = recording_->channels;
    if (std::find(channels.begin(), channels.end(), op.channel) == channels.end()) {
      channels.push_back(op.channel);
      ++op.channel->owners;
    }
    recording_->emits.push_back(op);
    return record(stream, Record::of(op), reads.data(), reads.size(), nullptr, 0);
  }
  check_depth(Emit::kName, stream);
  stream.push(Record::of(op));
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
  (program->stream ? *program->stream : cpu_).push(Record::of(Delete<Program>{program}, true));
}

bool Runtime::dispose_channel(Handle handle) {
  Channel* const channel = channels_.close(handle);
  if (channel) disown(channel);
  return channel != nullptr;
}

void Runtime::disown(Channel* channel) {
  if (--channel->owners == 0) channel->stream.push(Record::of(Delete<Channel>{channel}, true));
}

int64_t Runtime::take_live_bytes_change() {
  size_t live = 0;
  for (const auto& stream : streams_) live += stream->account.live;
  const int64_t change = static_cast<int64_t>(live) - static_cast<int64_t>(told_bytes_);
  told_bytes_ = live;
  return change;
}

}  // namespace heddle
