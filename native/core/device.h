#pragma once

#include <cstdint>

namespace heddle {

enum class DeviceKind : uint8_t { kCpu };

/// Where a tensor lives and its ops run.
struct Device {
  DeviceKind kind = DeviceKind::kCpu;
  int index = 0;

  bool operator==(const Device& other) const { return kind == other.kind && index == other.index; }
};

inline constexpr const char* name_of(DeviceKind) { return "cpu"; }

}  // namespace heddle
