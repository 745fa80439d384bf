#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle {

/// Element types of tensors. Token ids, positions and lengths are int32; a bool is a byte, 0 or 1.
enum class DType : uint8_t { kFloat32, kInt32, kBool };

inline constexpr size_t size_of(DType dtype) { return dtype == DType::kBool ? 1 : 4; }

inline constexpr const char* name_of(DType dtype) {
  return dtype == DType::kFloat32 ? "float32" : dtype == DType::kInt32 ? "int32" : "bool";
}

}  // namespace heddle
