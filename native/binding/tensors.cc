#include <algorithm>
#include <iterator>
#include <type_traits>
#include <vector>

#include "binding/call.h"
#include "binding/read.h"
#include "ops/checks.h"
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

/// (Float32Array | Int32Array | Uint8Array, shape, dtype that such an array holds): copied before this returns.
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
  return c.publish(c.runtime().make_filled(c.runtime().stream(), dtype, shape, values));
}

/// (shape, dtype): with memory still to be written.
Napi::Value empty_tensor(const Call& c) {
  return c.publish(c.runtime().make(c.runtime().stream(), c.dtype(1), c.shape(0)));
}

Napi::Value describe(const Call& c) {
  const Tensor* tensor = c.tensor(0, "tensor");
  auto shape = Napi::Array::New(c.env(), static_cast<size_t>(tensor->shape.rank()));
  for (int axis = 0; axis < tensor->shape.rank(); ++axis) {
    shape.Set(static_cast<uint32_t>(axis), number(c, static_cast<double>(tensor->shape[axis])));
  }
  auto result = Napi::Object::New(c.env());
  result.Set("dtype", name_of(tensor->dtype));
  result.Set("shape", shape);
  result.Set("packed", tensor->layout == Layout::kPanels);
  return result;
}

Napi::Value is_alive(const Call& c) { return Napi::Boolean::New(c.env(), c.runtime().find(c.integer(0)) != nullptr); }

Napi::Value dispose_tensor(const Call& c) { return Napi::Boolean::New(c.env(), c.runtime().dispose(c.integer(0))); }

Napi::Value reshape(const Call& c) { return c.publish(reshape(c.runtime(), c.tensor(0, "tensor"), c.shape(1))); }

Napi::Value transpose(const Call& c) {
  return c.publish(transpose(c.runtime(), c.tensor(0, "tensor"), c.integer(1), c.integer(2)));
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

Napi::Value memory(const Call& c) {
  const AllocatorStats stats = c.runtime().stream().allocator().stats();
  auto result = Napi::Object::New(c.env());
  result.Set("live", number(c, static_cast<double>(c.runtime().live_bytes())));
  result.Set("used", number(c, static_cast<double>(stats.used)));
  result.Set("cached", number(c, static_cast<double>(stats.cached)));
  result.Set("peak", number(c, static_cast<double>(stats.peak)));
  result.Set("pending", number(c, static_cast<double>(c.runtime().stream().pending_work())));
  return result;
}

Napi::Value trim(const Call& c) {
  c.runtime().stream().allocator().trim();
  return c.undefined();
}

/// (bytes), or a number below 0 for none.
Napi::Value set_memory_limit(const Call& c) {
  const double bytes = c.number(0);
  c.runtime().set_memory_limit(bytes < 0 ? SIZE_MAX : static_cast<size_t>(bytes));
  return c.undefined();
}

Napi::Value num_threads(const Call& c) { return number(c, ThreadPool::instance().num_threads()); }

Napi::Value set_num_threads(const Call& c) {
  ThreadPool::instance().set_num_threads(static_cast<int>(c.integer(0)));
  return c.undefined();
}

Napi::Value instruction_set(const Call& c) { return Napi::String::New(c.env(), cpu_instruction_set()); }

Napi::Value set_profiling(const Call& c) {
  c.runtime().stream().set_profiling(c.flag(0));
  return c.undefined();
}

Napi::Value kernel_ns(const Call& c) { return number(c, static_cast<double>(c.runtime().stream().kernel_ns())); }

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
    {"read", "data", read_tensor},
    {"readBytes", "bytes", read_bytes},
    {"readInto", "data", read_tensor_into},
    {"ready", "ready", ready},
    {"sync", "sync", sync},
    {"memory", "memory", memory},
    {"trim", "trim", trim},
    {"setMemoryLimit", "set_memory_limit", set_memory_limit},
    {"numThreads", "num_threads", num_threads},
    {"setNumThreads", "set_num_threads", set_num_threads},
    {"instructionSet", "instruction_set", instruction_set},
    {"setProfiling", "set_profiling", set_profiling},
    {"kernelNs", "kernel_ns", kernel_ns},
    {"defineQueueFullError", "define_queue_full_error", define_queue_full_error},
};

}  // namespace

void export_tensors(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, kTensors, std::size(kTensors));
}

}  // namespace heddle
