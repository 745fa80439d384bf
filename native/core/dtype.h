#pragma once

#include <cstddef>
#include <cstdint>

namespace heddle {

/// Element types of tensors. Token ids, positions and lengths are int32.
enum class DType : uint8_t { kFloat32, kInt32 };

inline constexpr size_t size_of(DType) { return 4; }

inline constexpr const char* name_of(DType dtype) { return dtype == DType::kFloat32 ? "float32" : "int32"; }

}  // namespace heddle
