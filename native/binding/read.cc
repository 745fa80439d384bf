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

/// Row-major copy of any strides. Elements have four bytes.
void copy_out(const Tensor& tensor, void* destination) {
  const int32_t* source = tensor.data<int32_t>();
  if (tensor.is_contiguous()) {
    if (tensor.numel() > 0) std::memcpy(destination, source, static_cast<size_t>(tensor.numel()) * sizeof *source);
    return;
  }
  int32_t* out = static_cast<int32_t*>(destination);
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    int64_t rest = i, offset = 0;
    for (int axis = tensor.shape.rank() - 1; axis >= 0; --axis) {
      offset += rest % tensor.shape[axis] * tensor.strides[axis];
      rest /= tensor.shape[axis];
    }
    out[i] = source[offset];
  }
}

/// By JavaScript's own constructor: without memory it throws, where N-API's ends the process.
Napi::TypedArray new_array(Napi::Env env, DType dtype, int64_t count) {
  const char* const type = dtype == DType::kFloat32 ? "Float32Array" : "Int32Array";
  try {
    const auto constructor = env.Global().Get(type).As<Napi::Function>();
    return constructor.New({Napi::Number::New(env, static_cast<double>(count))}).As<Napi::TypedArray>();
  } catch (const Napi::Error&) {
    throw Error(ErrorKind::kRuntime, "OUT_OF_MEMORY", concat("[data] no memory for a ", type, " of ", count));
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
    if (error_) {
      deferred_.Reject(isolate_.to_javascript(*error_).Value());
    } else {
      deferred_.Resolve(value(env));
    }
  }
  Isolate& isolate() const { return isolate_; }

 protected:
  virtual Napi::Value value(Napi::Env env) = 0;

  Isolate& isolate_;
  std::shared_ptr<const Error> error_;

 private:
  Napi::Promise::Deferred deferred_;
};

class Read : public Promise {
 public:
  Read(Isolate& isolate, const Tensor* tensor, Napi::TypedArray into, bool fresh)
      : Promise(isolate), tensor_(tensor), array_(Napi::Reference<Napi::TypedArray>::New(into, 1)) {
    const size_t bytes = static_cast<size_t>(tensor->numel()) * size_of(tensor->dtype);
    // JavaScript can detach its own array while we wait, but not one that it has not seen.
    if (fresh) {
      destination_ = bytes_of(into);
    } else {
      staging_.resize(bytes);
      destination_ = staging_.data();
    }
  }

  void perform(Stream& stream) override {
    const Storage& storage = *tensor_->storage;
    error_ = storage.poison;
    if (error_) {
      stream.observe(error_);
    } else if (!storage.data) {
      error_ = std::make_shared<Error>(ErrorKind::kRuntime, "NO_VALUE",
                                       "[data] the program that computes this tensor has not run");
    } else {
      copy_out(*tensor_, destination_);
    }
  }

 protected:
  Napi::Value value(Napi::Env) override {
    Napi::TypedArray array = array_.Value();
    if (!staging_.empty() && array.ByteLength() == staging_.size()) {
      std::memcpy(bytes_of(array), staging_.data(), staging_.size());
    }
    return array;
  }

 private:
  const Tensor* tensor_;
  Napi::Reference<Napi::TypedArray> array_;
  std::vector<uint8_t> staging_;
  void* destination_;
};

class Ready : public Promise {
 public:
  Ready(Isolate& isolate, const Tensor* tensor) : Promise(isolate), storage_(*tensor->storage) {}
  void perform(Stream& stream) override {
    error_ = storage_.poison;
    if (error_) stream.observe(error_);
  }

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

/// Command. A stream that is stopping has nobody to tell.
struct Perform {
  Promise* promise;
  void run(Stream& stream) const {
    std::unique_ptr<Promise> owned(promise);
    if (stream.stopping()) {
      owned.release();  // holds references that only the JavaScript thread may drop, and its environment is going
      return;
    }
    promise->perform(stream);
    promise->isolate().mailbox.post(std::move(owned));
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

Napi::Value read(Isolate& isolate, const Tensor* tensor) {
  const Napi::TypedArray array = new_array(isolate.env, tensor->dtype, tensor->numel());
  return submit(isolate, std::make_unique<Read>(isolate, tensor, array, true), array.ByteLength());
}

Napi::Value read_into(Isolate& isolate, const Tensor* tensor, Napi::TypedArray into) {
  return submit(isolate, std::make_unique<Read>(isolate, tensor, into, false), into.ByteLength());
}

Napi::Value ready(Isolate& isolate, const Tensor* tensor) {
  return submit(isolate, std::make_unique<Ready>(isolate, tensor), 0);
}

Napi::Value synchronize(Isolate& isolate) { return submit(isolate, std::make_unique<Synchronize>(isolate), 0); }

}  // namespace heddle
