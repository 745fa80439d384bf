#include <cstring>

#include "cuda/kernels.h"
#include "cuda/library.h"

namespace heddle::cuda {
namespace {

cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

int describe_device(int device, DeviceInfo* info) {
  cudaDeviceProp properties;
  const cudaError_t status = cudaGetDeviceProperties(&properties, device);
  if (status != cudaSuccess) return status;
  static_assert(sizeof info->name == sizeof properties.name);
  std::memcpy(info->name, properties.name, sizeof info->name);
  info->memory_bytes = properties.totalGlobalMem;
  info->major = properties.major;
  info->minor = properties.minor;
  info->multiprocessors = properties.multiProcessorCount;
  return cudaSuccess;
}

int create_stream(void** stream) {
  // Not ordered with the legacy default stream, which nothing here uses.
  return cudaStreamCreateWithFlags(reinterpret_cast<cudaStream_t*>(stream), cudaStreamNonBlocking);
}

int create_event(void** event) {
  return cudaEventCreateWithFlags(reinterpret_cast<cudaEvent_t*>(event), cudaEventDisableTiming);
}

int poll(void* event, bool* passed) {
  const cudaError_t status = cudaEventQuery(event_of(event));
  *passed = status == cudaSuccess;
  return status == cudaErrorNotReady ? cudaSuccess : status;
}

int end_capture(void* stream, void** graph) {
  cudaGraph_t captured = nullptr;
  cudaError_t status = cudaStreamEndCapture(stream_of(stream), &captured);
  if (status != cudaSuccess) return status;
  status = cudaGraphInstantiate(reinterpret_cast<cudaGraphExec_t*>(graph), captured, 0);
  cudaGraphDestroy(captured);
  return status;
}

template <typename Op>
int run_op(const Op* op, CudaContext* context) {
  return run(*op, *context);
}

const Library kLibrary = [] {
  Library table{};
  table.describe_status = [](int status) { return cudaGetErrorString(static_cast<cudaError_t>(status)); };
  table.count_devices = [](int* count) -> int { return cudaGetDeviceCount(count); };
  table.describe_device = describe_device;
  table.use_device = [](int device) -> int { return cudaSetDevice(device); };
  table.create_stream = create_stream;
  table.destroy_stream = [](void* stream) -> int { return cudaStreamDestroy(stream_of(stream)); };
  table.synchronize = [](void* stream) -> int { return cudaStreamSynchronize(stream_of(stream)); };
  table.create_event = create_event;
  table.destroy_event = [](void* event) -> int { return cudaEventDestroy(event_of(event)); };
  table.record = [](void* event, void* stream) -> int { return cudaEventRecord(event_of(event), stream_of(stream)); };
  table.poll = poll;
  table.wait = [](void* event) -> int { return cudaEventSynchronize(event_of(event)); };
  table.allocate = [](void** memory, size_t bytes, void* stream) -> int {
    return cudaMallocAsync(memory, bytes, stream_of(stream));
  };
  table.free = [](void* memory, void* stream) -> int { return cudaFreeAsync(memory, stream_of(stream)); };
  table.allocate_pinned = [](void** memory, size_t bytes) -> int { return cudaMallocHost(memory, bytes); };
  table.free_pinned = [](void* memory) -> int { return cudaFreeHost(memory); };
  table.copy = [](void* to, const void* from, size_t bytes, void* stream) -> int {
    return cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_of(stream));
  };
  table.fill = [](void* to, int byte, size_t bytes, void* stream) -> int {
    return cudaMemsetAsync(to, byte, bytes, stream_of(stream));
  };
  table.begin_capture = [](void* stream) -> int {
    return cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal);
  };
  table.end_capture = end_capture;
  table.launch_graph = [](void* graph, void* stream) -> int {
    return cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream_of(stream));
  };
  table.destroy_graph = [](void* graph) -> int { return cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph)); };
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
