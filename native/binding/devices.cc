
#include <iterator>

#include "binding/call.h"
#include "binding/read.h"

namespace heddle {
namespace {

Napi::Number number(const Call& c, double value) { return Napi::Number::New(c.env(), value); }

/// { reason, devices: [{ name, memory, computeCapability, reason }] }: opens the CUDA library if nobody has.
Napi::Value cuda_devices(const Call& c) {
  const CudaDevices& found = heddle::cuda_devices();
  auto devices = Napi::Array::New(c.env(), found.entries.size());
  uint32_t index = 0;
  for (const CudaDevices::Entry& device : found.entries) {
    auto entry = Napi::Object::New(c.env());
    entry.Set("name", device.name);
    entry.Set("memory", number(c, static_cast<double>(device.memory_bytes)));
    entry.Set("computeCapability", device.compute_capability);
    entry.Set("reason", device.reason);
    devices.Set(index++, entry);
  }
  auto result = Napi::Object::New(c.env());
  result.Set("reason", found.reason);
  result.Set("devices", devices);
  return result;
}

/// Resolves once the CUDA library was opened, or was not: without keeping JavaScript waiting.
Napi::Value find_devices(const Call& c) { return find_devices(c.isolate()); }

/// (device)
Napi::Value memory(const Call& c) {
  Stream& stream = c.stream(0);
  const AllocatorStats stats = stream.allocator().stats();
  auto result = Napi::Object::New(c.env());
  result.Set("live", number(c, static_cast<double>(stream.account.live)));
  result.Set("used", number(c, static_cast<double>(stats.used)));
  result.Set("cached", number(c, static_cast<double>(stats.cached)));
  result.Set("peak", number(c, static_cast<double>(stats.peak)));
  result.Set("pending", number(c, static_cast<double>(stream.pending_work())));
  return result;
}

/// Command.
struct Trim {
  void run(Stream& stream) const { stream.allocator().trim(); }
};

/// (device)
Napi::Value trim(const Call& c) {
  Stream& stream = c.stream(0);
  if (stream.on_host()) {
    Trim{}.run(stream);
  } else {
    stream.push(Record::of(Trim{}, true));
  }
  return c.undefined();
}

/// (bytes, or a number below 0 for none; device)
Napi::Value set_memory_limit(const Call& c) {
  const double bytes = c.number(0);
  c.stream(1).account.limit = bytes < 0 ? SIZE_MAX : static_cast<size_t>(bytes);
  return c.undefined();
}

Napi::Value num_threads(const Call& c) { return number(c, ThreadPool::instance().num_threads()); }

Napi::Value set_num_threads(const Call& c) {
  ThreadPool::instance().set_num_threads(static_cast<int>(c.integer(0)));
  return c.undefined();
}

Napi::Value instruction_set(const Call& c) { return Napi::String::New(c.env(), cpu_instruction_set()); }

/// (on, device)
Napi::Value set_profiling(const Call& c) {
  c.stream(1).set_profiling(c.flag(0));
  return c.undefined();
}

/// (device)
Napi::Value kernel_ns(const Call& c) { return number(c, static_cast<double>(c.stream(0).kernel_ns())); }

/// (device)
Napi::Value graph_steps(const Call& c) { return number(c, static_cast<double>(c.stream(0).graph_steps())); }

constexpr Export kDevices[] = {
    {"cudaDevices", "devices", cuda_devices},
    {"findDevices", "devices", find_devices},
    {"memory", "memory", memory},
    {"trim", "trim", trim},
    {"setMemoryLimit", "set_memory_limit", set_memory_limit},
    {"numThreads", "num_threads", num_threads},
    {"setNumThreads", "set_num_threads", set_num_threads},
    {"instructionSet", "instruction_set", instruction_set},
    {"setProfiling", "set_profiling", set_profiling},
    {"kernelNs", "kernel_ns", kernel_ns},
    {"graphSteps", "graph_steps", graph_steps},
};

}  // namespace

void export_devices(Napi::Env env, Napi::Object exports) {
  export_functions(env, exports, kDevices, std::size(kDevices));
}

}  // namespace heddle
