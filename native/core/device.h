#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace heddle {

enum class DeviceKind : uint8_t { kCpu, kCuda };

/// Where a tensor lives and its ops run.
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;

  bool operator==(const Device& other) const { return kind == other.kind && index == other.index; }
  bool operator!=(const Device& other) const { return !(*this == other); }
};

/// The CUDA devices of this machine, and what keeps us from them.
struct CudaDevices {
  struct Entry {
    std::string name;
    size_t memory_bytes;
    std::string compute_capability;  // '9.0'
    std::string reason;              // why it cannot be used; empty if it can
  };
  std::string reason;  // why there is none at all; empty if there are some
  std::vector<Entry> entries;
};

/// Opens the CUDA library at the first call, which may take some tenths of a second where there is a driver. From any
/// thread. HEDDLE_CUDA=off leaves it closed; HEDDLE_CUDA=simulator opens the simulator of the tests in its place, and
/// anything else throws RangeError.
const CudaDevices& cuda_devices();
/// Whether that has been done.
bool cuda_devices_known();

/// 'cpu', 'cuda:0'
inline std::string name_of(Device device) {
  return device.kind == DeviceKind::kCpu ? "cpu" : "cuda:" + std::to_string(device.index);
}

}  // namespace heddle
