#include <algorithm>
#include <iterator>
#include <type_traits>
#include <vector>

#include "binding/call.h"
#include "binding/read.h"
#include "ops/checks.h"
#include "ops/elementwise.h"
#include "ops/view.h"

namespace heddle {
namespace {

Napi::Number number(const Call& c, double value) { return Napi::Number::New(c.env(), value); }

/// float32 numbers rounded to a half dtype; nothing for other dtypes.
std::vector<uint16_t> narrow(DType dtype, const void* floats, int64_t count) {
  std::vector<uint16_t> halves;
  with_float_type(dtype, [&](auto type) {
    using T = decltype(type);
    if constexpr (!std::is_same_v<T, float>) {
      const float* from = static_cast<const float*>(floats);
      halves.resize(static_cast<size_t>(count));
      std::transform(from, from + count, halves.begin(), [](float value) { return from_float<T>(value).bits; });
    }
  });
  return halves;
}

/// (Float32Array | Int32Array | Uint8Array, shape, dtype that such an array holds, device): copied before this returns.
Napi::Value create_tensor(const Call& c) {
  const auto array = c.value(0).As<Napi::TypedArray>();
  const DType dtype = c.dtype(2);
  const auto* bytes = static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
  const Shape shape = c.shape(1);
  if (shape.numel() != static_cast<int64_t>(array.ElementLength())) {
    throw_range_error("[tensor] shape ", shape, " does not fit ", array.ElementLength(), " values");
  }
  const std::vector<uint16_t> halves = narrow(dtype, bytes, shape.numel());
  const void* const values = halves.empty() ? static_cast<const void*>(bytes) : halves.data();
  return c.publish(c.runtime().make_filled(c.stream(3), dtype, shape, values));
}

/// (shape, dtype, device): with memory still to be written.
Napi::Value empty_tensor(const Call& c) { return c.publish(c.runtime().make(c.stream(2), c.dtype(1), c.shape(0))); }

Napi::Value describe(const Call& c) {
  const Tensor* tensor = c.tensor(0, "tensor");
  auto shape = Napi::Array::New(c.env(), static_cast<size_t>(tensor->shape.rank()));
  for (int axis = 0; axis < tensor->shape.rank(); ++axis) {
    shape.Set(static_cast<uint32_t>(axis), number(c, static_cast<double>(tensor->shape[axis])));
  }
  auto result = Napi::Object::New(c.env());
  result.Set("dtype", name_of(tensor->dtype));
  result.Set("shape", shape);
  result.Set("device", name_of(tensor->storage->stream->device()));
  result.Set("packed", tensor->layout == Layout::kPanels);
  return result;
}

Napi::Value is_alive(const Call& c) { return Napi::Boolean::New(c.env(), c.runtime().find(c.integer(0)) != nullptr); }

Napi::Value dispose_tensor(const Call& c) { return Napi::Boolean::New(c.env(), c.runtime().dispose(c.integer(0))); }

Napi::Value reshape(const Call& c) { return c.publish(reshape(c.runtime(), c.tensor(0, "tensor"), c.shape(1))); }

Napi::Value transpose(const Call& c) {
  return c.publish(transpose(c.runtime(), c.tensor(0, "tensor"), c.integer(1), c.integer(2)));
}

/// (tensor, device): a copy on another device, or a view.
Napi::Value to_device(const Call& c) {
  const Tensor* tensor = c.tensor(0, "tensor");
  Stream& stream = c.stream(1);
  if (tensor->storage->stream == &stream) return c.publish(c.runtime().make_alias(tensor));
  if (tensor->layout == Layout::kStrided) tensor = dense(c.runtime(), tensor);
  return c.publish(c.runtime().transfer(tensor, stream));
}

Napi::Value slice(const Call& c) {
  return c.publish(slice(c.runtime(), c.tensor(0, "tensor"), c.integer(1), c.integer(2), c.integer(3)));
}

Napi::Value read_tensor(const Call& c) {
  const Tensor* tensor = c.tensor(0, "tensor");
  check_strided("data", "tensor", tensor);
  return read(c.isolate(), tensor);
}

Napi::Value read_bytes(const Call& c) {
  const Tensor* tensor = c.tensor(0, "tensor");
  check_strided("bytes", "tensor", tensor);
  return read_bytes(c.isolate(), tensor);
}

Napi::Value read_tensor_into(const Call& c) {
  const Tensor* tensor = c.tensor(0, "tensor");
  check_strided("data", "tensor", tensor);
  const auto into = c.value(1).As<Napi::TypedArray>();
  const ArrayType wanted = array_type(tensor->dtype);
  if (into.TypedArrayType() != wanted.type) throw_type_error("[data] into must be a ", wanted.name);
  if (static_cast<int64_t>(into.ElementLength()) != tensor->numel()) {
    throw_range_error("[data] into must have ", tensor->numel(), " elements but has ", into.ElementLength());
  }
  return read_into(c.isolate(), tensor, into);
}

Napi::Value ready(const Call& c) { return ready(c.isolate(), c.tensor(0, "tensor")); }

Napi::Value sync(const Call& c) { return synchronize(c.isolate()); }

/// The error class that JavaScript defines.
Napi::Value define_queue_full_error(const Call& c) {
  c.isolate().queue_full_error = Napi::Persistent(c.value(0).As<Napi::Function>());
  return c.undefined();
}

constexpr Export kTensors[] = {
    {"createTensor", "tensor", create_tensor},
    {"emptyTensor", "tensor", empty_tensor},
    {"describe", "tensor", describe},
    {"isAlive", "tensor", is_alive},
    {"disposeTensor", "dispose", dispose_tensor},
    {"reshape", "reshape", reshape},
    {"transpose", "transpose", transpose},
    {"slice", "slice", slice},
    {"toDevice", "to", to_device},
    {"read", "data", read_tensor},
    {"readBytes", "bytes", read_bytes},
    {"readInto", "data", read_tensor_into},
    {"ready", "ready", ready},
    {"sync", "sync", sync},
    {"defineQueueFullError", "define_queue_full_error", define_queue_full_error},
};

}  // namespace

void export_tensors(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, kTensors, std::size(kTensors));
}

}  // namespace heddle
