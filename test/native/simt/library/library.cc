#include "cuda/library.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "cuda/kernels.h"
#include "simt/simulator.h"

// The CUDA library's table with devices that the simulator plays. Streams do their work when somebody waits for them.
//
//   HEDDLE_SIMULATOR_DEVICES      how many there are (2)
//   HEDDLE_SIMULATOR_MEMORY       bytes of memory of each (2^33)
//   HEDDLE_SIMULATOR_CAPABILITY   compute capability: 80, or 90, which has kernels of its own (80)
//   HEDDLE_SIMULATOR_LOSE_AFTER   launches that a device survives: the next one ends it, which later calls tell

namespace heddle::cuda {
namespace {

enum : int {
  kDeviceOutOfMemory = 2,
  kBadDevice = 101,
  kLaunchFailure = 719,
  kCaptureUnsupported = 900,  // a call that no stream may be given while it is captured; it ends the capture
  kCaptureInvalidated = 901,
};

int64_t setting(const char* name, int64_t otherwise) {
  const char* const text = std::getenv(name);
  return text ? std::atoll(text) : otherwise;
}

int num_devices() {
  static const int count = static_cast<int>(std::max(int64_t{0}, setting("HEDDLE_SIMULATOR_DEVICES", 2)));
  return count;
}
size_t memory_bytes() { return static_cast<size_t>(setting("HEDDLE_SIMULATOR_MEMORY", int64_t{1} << 33)); }

/// One simulator, whichever threads feed it. Kernels know no device: only memory and launches are counted by device.
struct World {
  std::recursive_mutex mutex;
  std::vector<size_t> used = std::vector<size_t>(num_devices());
  std::vector<int64_t> launches = std::vector<int64_t>(num_devices());
  std::unordered_map<void*, std::pair<int, size_t>> blocks;
};

World& world() {
  static World* const one = new World;
  return *one;
}

thread_local int device = 0;

struct Stream {
  simt::Queue queue;
  int device;
  std::unique_ptr<simt::Queue> captured;  // what is queued while a graph is captured
  bool is_invalid = false;                // it was asked for what cannot be captured
  bool is_ahead = false;                  // at the last wait for an event: see wait
};
Stream& stream_of(void* stream) { return *static_cast<Stream*>(stream); }

simt::Queue& queue_of(Stream& stream) { return stream.captured ? *stream.captured : stream.queue; }
/// Whether a call must be refused, since the stream is captured and the call waits or takes memory. That ends the
/// capture.
bool refuses(Stream& stream) { return stream.is_invalid = stream.captured != nullptr; }

struct Event {
  Stream* recorded = nullptr;
  size_t place = 0;  // in its queue
};

bool is_lost(int index) {
  static const int64_t most = setting("HEDDLE_SIMULATOR_LOSE_AFTER", INT64_MAX);
  return world().launches[index] > most;
}

int count_devices(int* count) {
  *count = num_devices();
  return 0;
}

int describe_device(int index, DeviceInfo* info) {
  if (index < 0 || index >= num_devices()) return kBadDevice;
  std::strcpy(info->name, "SIMT simulator");
  info->memory_bytes = memory_bytes();
  const auto capability = static_cast<int>(setting("HEDDLE_SIMULATOR_CAPABILITY", 80));
  info->major = capability / 10;
  info->minor = capability % 10;
  info->multiprocessors = 8;
  return 0;
}

int use_device(int index) {
  device = index;
  return index >= 0 && index < num_devices() ? 0 : kBadDevice;
}

int create_stream(void** stream) {
  *stream = new Stream{{}, device, {}};
  return 0;
}

int run_until(Stream& self, size_t place) {
  const std::lock_guard<std::recursive_mutex> lock(world().mutex);
  if (refuses(self)) return kCaptureUnsupported;
  if (is_lost(self.device)) return kLaunchFailure;
  self.queue.run(place);
  return 0;
}

int synchronize(void* stream) { return run_until(stream_of(stream), SIZE_MAX); }

int record(void* event, void* stream) {
  if (refuses(stream_of(stream))) return kCaptureUnsupported;
  *static_cast<Event*>(event) = {&stream_of(stream), stream_of(stream).queue.pushed()};
  return 0;
}

/// Every other time as a device does that has got further.
int wait(void* event) {
  const Event& self = *static_cast<Event*>(event);
  if (!self.recorded) return 0;
  self.recorded->is_ahead = !self.recorded->is_ahead;
  return run_until(*self.recorded, self.recorded->is_ahead ? SIZE_MAX : self.place);
}

int allocate(void** memory, size_t bytes, void* stream) {
  if (refuses(stream_of(stream))) return kCaptureUnsupported;
  const int index = stream_of(stream).device;
  const std::lock_guard<std::recursive_mutex> lock(world().mutex);
  if (is_lost(index)) return kLaunchFailure;
  if (world().used[index] + bytes > memory_bytes()) return kDeviceOutOfMemory;
  *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  if (!*memory) return kDeviceOutOfMemory;
  std::memset(*memory, 0xff, bytes);
  world().used[index] += bytes;
  world().blocks[*memory] = {index, bytes};
  return 0;
}

int free_block(void* memory, void* stream) {
  if (refuses(stream_of(stream))) return kCaptureUnsupported;
  const std::lock_guard<std::recursive_mutex> lock(world().mutex);
  const auto found = world().blocks.find(memory);
  const auto [index, bytes] = found->second;
  world().used[index] -= bytes;  // what is allocated next on the stream may have it
  world().blocks.erase(found);
  stream_of(stream).queue.push([memory, bytes = bytes] {
    std::memset(memory, 0xff, bytes);
    std::free(memory);
  });
  return 0;
}

int allocate_pinned(void** memory, size_t bytes) {
  *memory = std::malloc(bytes);
  return *memory ? 0 : kDeviceOutOfMemory;
}

int copy(void* to, const void* from, size_t bytes, void* stream) {
  queue_of(stream_of(stream)).push([=] { std::memcpy(to, from, bytes); });
  return 0;
}

int fill(void* to, int byte, size_t bytes, void* stream) {
  queue_of(stream_of(stream)).push([=] { std::memset(to, byte, bytes); });
  return 0;
}

const char* describe_status(int status) {
  switch (status) {
    case kDeviceOutOfMemory:
      return "out of memory";
    case kBadDevice:
      return "invalid device ordinal";
    case kCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    case kCaptureInvalidated:
      return "operation failed due to a previous error during capture";
    case kLaunchFailure:
      return "unspecified launch failure";
    default:
      return "invalid argument";
  }
}

int begin_capture(void* stream) {
  stream_of(stream).captured = std::make_unique<simt::Queue>();
  stream_of(stream).is_invalid = false;
  return 0;
}

int end_capture(void* stream, void** graph) {
  Stream& self = stream_of(stream);
  auto captured = std::move(self.captured);
  if (self.is_invalid) return kCaptureInvalidated;
  *graph = captured.release();
  return 0;
}

int launch_graph(void* graph, void* stream) {
  Stream& self = stream_of(stream);
  const std::lock_guard<std::recursive_mutex> lock(world().mutex);
  if (is_lost(self.device)) return kLaunchFailure;
  const simt::Queue& work = *static_cast<simt::Queue*>(graph);
  world().launches[self.device] += static_cast<int64_t>(work.pushed());
  self.queue.push(work);
  return 0;
}

template <typename Op>
int run_op(const Op* op, CudaContext* context) {
  Stream& stream = stream_of(context->stream);
  const std::lock_guard<std::recursive_mutex> lock(world().mutex);
  if (is_lost(stream.device)) return kLaunchFailure;
  if (!stream.captured) ++world().launches[stream.device];
  simt::set_name(Op::kName);
  CudaContext inner = *context;
  inner.stream = &queue_of(stream);
  return run(*op, inner);
}

const Library kLibrary = [] {
  Library table{};
  table.describe_status = describe_status;
  table.count_devices = count_devices;
  table.describe_device = describe_device;
  table.use_device = use_device;
  table.create_stream = create_stream;
  table.destroy_stream = [](void* stream) -> int {
    delete static_cast<Stream*>(stream);
    return 0;
  };
  table.synchronize = synchronize;
  table.create_event = [](void** event) -> int {
    *event = new Event;
    return 0;
  };
  table.destroy_event = [](void* event) -> int {
    delete static_cast<Event*>(event);
    return 0;
  };
  table.record = record;
  table.poll = [](void*, bool* passed) -> int {
    *passed = false;  // until somebody waits
    return 0;
  };
  table.wait = wait;
  table.allocate = allocate;
  table.free = free_block;
  table.allocate_pinned = allocate_pinned;
  table.free_pinned = [](void* memory) -> int {
    std::free(memory);
    return 0;
  };
  table.copy = copy;
  table.fill = fill;
  table.begin_capture = begin_capture;
  table.end_capture = end_capture;
  table.launch_graph = launch_graph;
  table.destroy_graph = [](void* graph) -> int {
    delete static_cast<simt::Queue*>(graph);
    return 0;
  };
#define HEDDLE_FILL_ENTRY(Op) table.run_##Op = run_op<Op>;
  HEDDLE_OPS(HEDDLE_FILL_ENTRY)
#undef HEDDLE_FILL_ENTRY
  return table;
}();

}  // namespace

extern "C" __attribute__((visibility("default"))) const Library* heddle_cuda_library(int version) {
  return version == Library::kVersion ? &kLibrary : nullptr;
}

}  // namespace heddle::cuda
