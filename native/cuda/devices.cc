#include "cuda/devices.h"

#include <atomic>
#include <cstdlib>

#include "core/error.h"

#if defined(__linux__)
#include <dlfcn.h>
#endif

namespace heddle {
namespace {

struct Found {
  CudaDevices devices;
  const cuda::Library* library = nullptr;
};

std::atomic<bool> known{false};

#if defined(__linux__)

/// The folder of this addon.
std::string own_folder() {
  Dl_info info{};
  dladdr(reinterpret_cast<const void*>(&cuda_devices), &info);
  const std::string file = info.dli_fname ? info.dli_fname : "";
  return file.substr(0, file.rfind('/') + 1);
}

/// The reason if it cannot be opened. What was opened stays open.
std::string open_library(const cuda::Library*& library) {
  const char* const choice = std::getenv("HEDDLE_CUDA");
  const std::string chosen = choice ? choice : "";
  const bool simulator = chosen == "simulator";
  if (chosen == "off") return "HEDDLE_CUDA=off";
  if (!chosen.empty() && !simulator) {
    throw_range_error("[heddle] HEDDLE_CUDA must be off or simulator but is ", chosen);
  }
  if (!simulator && !dlopen("libcuda.so.1", RTLD_NOW)) return "no NVIDIA driver: libcuda.so.1 was not found";
  const std::string name = simulator ? "heddle-cuda-simulator.so" : "heddle-cuda.so";
  void* const handle = dlopen((own_folder() + name).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) return concat("the CUDA library does not load: ", dlerror());
  const auto entry = reinterpret_cast<cuda::Library::Entry>(dlsym(handle, cuda::Library::kEntry));
  library = entry ? entry(cuda::Library::kVersion) : nullptr;
  return library ? "" : name + " is of another version of heddle";
}

#else

std::string open_library(const cuda::Library*&) { return "CUDA is supported on Linux only"; }

#endif

Found find() {
  Found found;
  CudaDevices& devices = found.devices;
  devices.reason = open_library(found.library);
  if (!found.library) return found;
  int count = 0;
  const int status = found.library->count_devices(&count);
  if (status != 0) {
    devices.reason = found.library->describe_status(status);
  } else if (count == 0) {
    devices.reason = "no CUDA device";
  }
  for (int i = 0; i < count; ++i) {
    cuda::DeviceInfo info{};
    const int failed = found.library->describe_device(i, &info);
    CudaDevices::Entry entry{info.name, info.memory_bytes, concat(info.major, ".", info.minor), ""};
    if (failed != 0) {
      entry.reason = found.library->describe_status(failed);
    } else if (info.major < 8) {
      entry.reason = "compute capability 8.0 is needed but it has " + entry.compute_capability;
    }
    devices.entries.push_back(entry);
  }
  return found;
}

const Found& found() {
  static const Found once = find();
  known.store(true, std::memory_order_release);
  return once;
}

}  // namespace

const CudaDevices& cuda_devices() { return found().devices; }

bool cuda_devices_known() { return known.load(std::memory_order_acquire); }

const cuda::Library& cuda::library() { return *found().library; }

}  // namespace heddle
