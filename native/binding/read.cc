#include "binding/read.h"

#include <cstring>
#include <vector>

#include "binding/call.h"

namespace heddle {
namespace {

using Clock = std::chrono::steady_clock;

/// Reads answered at once resolve in microtasks, which run before the event loop turns: so only for so long.
constexpr std::chrono::milliseconds kLongestBurst{4};
constexpr size_t kMaxBytesAtOnce = size_t{1} << 20;

/// Row-major copy of any strides.
void copy_out(const Tensor& tensor, void* destination) {
  const size_t size = size_of(tensor.dtype);
  const auto* source = static_cast<const uint8_t*>(tensor.storage->data) + tensor.offset * size;
  if (tensor.is_contiguous()) {
    if (tensor.numel() > 0) std::memcpy(destination, source, static_cast<size_t>(tensor.numel()) * size);
    return;
  }
  auto* out = static_cast<uint8_t*>(destination);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    int64_t rest = i, offset = 0;
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis) {
      offset += rest % tensor.shape[axis] * tensor.strides[axis];
      rest /= tensor.shape[axis];
    }
    std::memcpy(out + i * size, source + offset * size, size);
  }
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
void copy_values(const Tensor& tensor, void* destination) {
  auto* const bytes = static_cast<uint8_t*>(destination);
  const int64_t count = tensor.numel();
  if (size_of(tensor.dtype) != sizeof(uint16_t)) return copy_out(tensor, bytes);
  copy_out(tensor, bytes + count * sizeof(uint16_t));
  if (tensor.dtype == DType::kFloat16) {
    widen<Float16>(bytes, count);
  } else {
    widen<BFloat16>(bytes, count);
  }
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
  /// On the stream.
  virtual void perform(Stream& stream) = 0;

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
  virtual Napi::Value value(Napi::Env env) = 0;

  /// Why a storage has no value, if so; whoever waits for it is told.
  bool find_error(const Storage& storage, Stream& stream) {
    error_ = storage.poison;
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
  using Copy = void (*)(const Tensor& tensor, void* destination);

  Read(Isolate& isolate, const Tensor* tensor, Copy copy, Napi::TypedArray into, bool fresh)
      : Promise(isolate), tensor_(tensor), copy_(copy), array_(Napi::Reference<Napi::TypedArray>::New(into, 1)) {
    // JavaScript can detach its own array while we wait, but not one that it has not seen.
    if (fresh) {
      destination_ = bytes_of(into);
    } else {
      staging_.resize(into.ByteLength());
      destination_ = staging_.data();
    }
  }

  void perform(Stream& stream) override {
    const Storage& storage = *tensor_->storage;
    if (find_error(storage, stream)) return;
    copy_(*tensor_, destination_);
  }

 protected:
  Napi::Value value(Napi::Env) override {
    Napi::TypedArray array = array_.Value();
    if (staging_.empty()) return array;
    if (array.ByteLength() != staging_.size()) throw_type_error("[data] into was detached while it was waited for");
    std::memcpy(bytes_of(array), staging_.data(), staging_.size());
    return array;
  }

 private:
  const Tensor* tensor_;
  const Copy copy_;
  Napi::Reference<Napi::TypedArray> array_;
  std::vector<uint8_t> staging_;
  void* destination_;
};

class Ready : public Promise {
 public:
  Ready(Isolate& isolate, const Tensor* tensor) : Promise(isolate), storage_(*tensor->storage) {}
  void perform(Stream& stream) override { find_error(storage_, stream); }

 protected:
  Napi::Value value(Napi::Env env) override { return env.Undefined(); }

 private:
  const Storage& storage_;
};

class Synchronize : public Promise {
 public:
  using Promise::Promise;
  void perform(Stream& stream) override { error_ = stream.take_unobserved(); }

 protected:
  Napi::Value value(Napi::Env env) override { return env.Undefined(); }
};

/// Command. When the stream is stopping there is nothing to wait for, but the promise still goes home: the references
/// that it holds are the JavaScript thread's to drop.
struct Perform {
  Promise* promise;
  void run(Stream& stream) const {
    if (!stream.stopping()) promise->perform(stream);
    promise->isolate().mailbox.post(std::unique_ptr<Promise>(promise));
  }
};

/// At once if nothing is queued (and the event loop has not been kept waiting), else in stream order.
Napi::Value submit(Isolate& isolate, std::unique_ptr<Promise> promise, size_t bytes) {
  const Napi::Promise result = promise->promise();
  const auto now = Clock::now();
  if (!isolate.in_burst) {
    isolate.in_burst = true;
    isolate.burst_began = now;
  }
  Stream& stream = isolate.runtime->stream();
  if (stream.idle() && bytes <= kMaxBytesAtOnce && now - isolate.burst_began < kLongestBurst) {
    promise->perform(stream);
    promise->deliver(isolate.env);
  } else {
    isolate.runtime->push(Perform{promise.release()}, true);
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
      break;
  }
  return {napi_uint8_array, "Uint8Array"};
}

Napi::Value read(Isolate& isolate, const Tensor* tensor) {
  const Napi::TypedArray array = new_array(isolate.env, array_type(tensor->dtype).name, tensor->numel());
  return submit(isolate, std::make_unique<Read>(isolate, tensor, copy_values, array, true), array.ByteLength());
}

Napi::Value read_bytes(Isolate& isolate, const Tensor* tensor) {
  const int64_t bytes = tensor->numel() * static_cast<int64_t>(size_of(tensor->dtype));
  const Napi::TypedArray array = new_array(isolate.env, "Uint8Array", bytes);
  return submit(isolate, std::make_unique<Read>(isolate, tensor, copy_out, array, true), array.ByteLength());
}

Napi::Value read_into(Isolate& isolate, const Tensor* tensor, Napi::TypedArray into) {
  return submit(isolate, std::make_unique<Read>(isolate, tensor, copy_values, into, false), into.ByteLength());
}

Napi::Value ready(Isolate& isolate, const Tensor* tensor) {
  return submit(isolate, std::make_unique<Ready>(isolate, tensor), 0);
}

Napi::Value synchronize(Isolate& isolate) { return submit(isolate, std::make_unique<Synchronize>(isolate), 0); }

}  // namespace heddle
