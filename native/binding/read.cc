#include "binding/read.h"

#include <cstring>
#include <vector>

#include "binding/call.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

using Clock = std::chrono::steady_clock;

/// Reads answered at once resolve in microtasks, which run before the event loop turns: so only for so long.
constexpr std::chrono::milliseconds kLongestBurst{4};
constexpr size_t kMaxBytesAtOnce = size_t{1} << 20;

/// The elements, row-major, into host memory; the error if they have no value.
std::shared_ptr<const Error> copy_out(Stream& stream, const Tensor& tensor, void* destination) {
  const size_t bytes = bytes_of(tensor.dtype, tensor.shape, Layout::kStrided);
  Storage dense;
  Tensor copy{&dense, tensor.dtype, Layout::kStrided, tensor.shape, contiguous_strides(tensor.shape)};
  const Tensor* source = &tensor;
  if (!tensor.is_contiguous()) {
    dense.bytes = bytes;
    stream.run(Copy{&tensor, &copy});
    source = &copy;
  }
  if (source->storage->data) {
    const auto* from = static_cast<const uint8_t*>(source->storage->data);
    stream.copy_out(destination, from + source->offset * size_of(tensor.dtype), bytes);
  }
  stream.settle();
  stream.drop(dense);
  return stream.error_of(*source->storage);
}

/// Halves to floats, in place: they lie in the second half of the bytes, and each is read before it is overwritten.
template <typename T>
void widen(uint8_t* bytes, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    T half;
    std::memcpy(&half, bytes + (count + i) * sizeof half, sizeof half);
    const float value = to_float(half);
    std::memcpy(bytes + i * sizeof value, &value, sizeof value);
  }
}

/// The same as JavaScript's array has it: halves widened.
std::shared_ptr<const Error> copy_values(Stream& stream, const Tensor& tensor, void* destination) {
  auto* const bytes = static_cast<uint8_t*>(destination);
  const int64_t count = tensor.numel();
  if (size_of(tensor.dtype) != sizeof(uint16_t)) return copy_out(stream, tensor, bytes);
  if (auto error = copy_out(stream, tensor, bytes + count * sizeof(uint16_t))) return error;
  if (tensor.dtype == DType::kFloat16) {
    widen<Float16>(bytes, count);
  } else {
    widen<BFloat16>(bytes, count);
  }
  return nullptr;
}

/// By JavaScript's own constructor: without memory it throws, where N-API's ends the process.
Napi::TypedArray new_array(Napi::Env env, const char* name, int64_t count) {
  try {
    const auto constructor = env.Global().Get(name).As<Napi::Function>();
    return constructor.New({Napi::Number::New(env, static_cast<double>(count))}).As<Napi::TypedArray>();
  } catch (const Napi::Error&) {
    throw Error(ErrorKind::kRuntime, "OUT_OF_MEMORY", concat("[data] no memory for a ", name, " of ", count));
  }
}

uint8_t* bytes_of(Napi::TypedArray array) {
  return static_cast<uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
}

/// A promise that the stream keeps.
class Promise : public Completion {
 public:
  explicit Promise(Isolate& isolate) : isolate_(isolate), deferred_(Napi::Promise::Deferred::New(isolate.env)) {
    isolate.mailbox.hold();
  }
  ~Promise() override = default;

  Napi::Promise promise() const { return deferred_.Promise(); }
  /// On the stream, or lent it.
  void keep(Stream& stream) {
    try {
      perform(stream);
    } catch (const std::bad_alloc&) {
      stream.settle();  // what was to be copied has come
      error_ = stream.out_of_memory("data");
    }
  }

  void deliver(Napi::Env env) override {
    isolate_.mailbox.let_go();
    try {
      if (error_) throw Error(*error_);
      deferred_.Resolve(value(env));
    } catch (const Error& error) {
      deferred_.Reject(isolate_.to_javascript(error).Value());
    }
  }
  Isolate& isolate() const { return isolate_; }

 protected:
  virtual void perform(Stream& stream) = 0;
  virtual Napi::Value value(Napi::Env env) = 0;

  /// Why a storage has no value, if so; whoever waits for it is told.
  bool find_error(const Storage& storage, Stream& stream) {
    stream.settle();
    error_ = stream.error_of(storage);
    if (error_) {
      stream.observe(error_);
    } else if (!storage.data) {
      error_ = std::make_shared<Error>(ErrorKind::kRuntime, "NO_VALUE",
                                       "[data] the program that computes this tensor has not run");
    }
    return error_ != nullptr;
  }

  Isolate& isolate_;
  std::shared_ptr<const Error> error_;

 private:
  Napi::Promise::Deferred deferred_;
};

class Read : public Promise {
 public:
  /// Puts a tensor's value into host memory; the error if it has none.
  using Reader = std::shared_ptr<const Error> (*)(Stream& stream, const Tensor& tensor, void* destination);

  Read(Isolate& isolate, const Tensor* tensor, Reader copy, Napi::TypedArray into, bool fresh)
      : Promise(isolate), tensor_(tensor), copy_(copy), array_(Napi::Reference<Napi::TypedArray>::New(into, 1)) {
    // JavaScript can detach its own array while we wait, but not one that it has not seen.
    if (fresh) {
      destination_ = bytes_of(into);
    } else {
      staging_.resize(into.ByteLength());
      destination_ = staging_.data();
    }
  }

 protected:
  void perform(Stream& stream) override {
    const Storage& storage = *tensor_->storage;
    if (find_error(storage, stream)) return;
    error_ = copy_(stream, *tensor_, destination_);
    if (error_) stream.observe(error_);
  }
  Napi::Value value(Napi::Env) override {
    Napi::TypedArray array = array_.Value();
    if (staging_.empty()) return array;
    if (array.ByteLength() != staging_.size()) throw_type_error("[data] into was detached while it was waited for");
    std::memcpy(bytes_of(array), staging_.data(), staging_.size());
    return array;
  }

 private:
  const Tensor* tensor_;
  const Reader copy_;
  Napi::Reference<Napi::TypedArray> array_;
  std::vector<uint8_t> staging_;
  void* destination_;
};

class Ready : public Promise {
 public:
  Ready(Isolate& isolate, const Tensor* tensor) : Promise(isolate), storage_(*tensor->storage) {}

 protected:
  void perform(Stream& stream) override { find_error(storage_, stream); }
  Napi::Value value(Napi::Env env) override { return env.Undefined(); }

 private:
  const Storage& storage_;
};

class Synchronize : public Promise {
 public:
  using Promise::Promise;

 protected:
  void perform(Stream& stream) override {
    stream.settle();
    error_ = stream.take_unobserved();
  }
  Napi::Value value(Napi::Env env) override { return env.Undefined(); }
};

class FindDevices : public Promise {
 public:
  using Promise::Promise;

 protected:
  void perform(Stream&) override {
    try {
      cuda_devices();
    } catch (const Error& error) {
      error_ = std::make_shared<const Error>(error);
    }
  }
  Napi::Value value(Napi::Env env) override { return env.Undefined(); }
};

/// Command. When the stream is stopping there is nothing to wait for, but the promise still goes home: the references
/// that it holds are the JavaScript thread's to drop.
struct Perform {
  Promise* promise;
  void run(Stream& stream) const {
    if (!stream.stopping()) promise->keep(stream);
    promise->isolate().mailbox.post(std::unique_ptr<Promise>(promise));
  }
};

/// At once if nothing is queued (and the event loop has not been kept waiting), else in stream order.
Napi::Value submit(Isolate& isolate, Stream& stream, std::unique_ptr<Promise> promise, size_t bytes) {
  const Napi::Promise result = promise->promise();
  const auto now = Clock::now();
  if (!isolate.in_burst) {
    isolate.in_burst = true;
    isolate.burst_began = now;
  }
  if (stream.on_host() && stream.idle() && bytes <= kMaxBytesAtOnce && now - isolate.burst_began < kLongestBurst) {
    promise->keep(stream);
    promise->deliver(isolate.env);
  } else {
    stream.push(Record::of(Perform{promise.release()}, true));
  }
  return result;
}

}  // namespace

ArrayType array_type(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kFloat16:
    case DType::kBFloat16:
      return {napi_float32_array, "Float32Array"};
    case DType::kInt32:
      return {napi_int32_array, "Int32Array"};
    case DType::kBool:
    case DType::kInt8:
    case DType::kInt4:
      break;
  }
  return {napi_uint8_array, "Uint8Array"};
}

Napi::Value read(Isolate& isolate, const Tensor* tensor) {
  const Napi::TypedArray array = new_array(isolate.env, array_type(tensor->dtype).name, tensor->numel());
  return submit(isolate, *tensor->storage->stream, std::make_unique<Read>(isolate, tensor, copy_values, array, true),
                array.ByteLength());
}

Napi::Value read_bytes(Isolate& isolate, const Tensor* tensor) {
  const int64_t bytes = tensor->numel() * static_cast<int64_t>(size_of(tensor->dtype));
  const Napi::TypedArray array = new_array(isolate.env, "Uint8Array", bytes);
  return submit(isolate, *tensor->storage->stream, std::make_unique<Read>(isolate, tensor, copy_out, array, true),
                array.ByteLength());
}

Napi::Value read_into(Isolate& isolate, const Tensor* tensor, Napi::TypedArray into) {
  return submit(isolate, *tensor->storage->stream, std::make_unique<Read>(isolate, tensor, copy_values, into, false),
                into.ByteLength());
}

Napi::Value ready(Isolate& isolate, const Tensor* tensor) {
  return submit(isolate, *tensor->storage->stream, std::make_unique<Ready>(isolate, tensor), 0);
}

Napi::Value synchronize(Isolate& isolate) {
  auto promises = Napi::Array::New(isolate.env);
  for (const auto& stream : isolate.runtime->streams()) {
    promises.Set(promises.Length(), submit(isolate, *stream, std::make_unique<Synchronize>(isolate), 0));
  }
  return promises;
}

Napi::Value find_devices(Isolate& isolate) {
  // On the CPU's thread: it takes a while, once.
  const size_t bytes = cuda_devices_known() ? 0 : SIZE_MAX;
  return submit(isolate, isolate.runtime->cpu(), std::make_unique<FindDevices>(isolate), bytes);
}

}  // namespace heddle
