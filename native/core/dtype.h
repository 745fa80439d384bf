#pragma once

#include <cstddef>
#include <cstdint>

#include "core/half.h"

namespace heddle {

/// Element types of tensors. Token ids, positions and lengths are int32; a bool is a byte, 0 or 1. int8 and int4 are
/// weights of `linear` in panels: see core/quantized.h.
enum class DType : uint8_t { kFloat32, kFloat16, kBFloat16, kInt32, kBool, kInt8, kInt4 };

inline constexpr bool is_float(DType dtype) { return dtype <= DType::kBFloat16; }

inline constexpr bool is_quantized(DType dtype) { return dtype >= DType::kInt8; }

/// Of an element; of what is quantized only bytes_of knows.
inline constexpr size_t size_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32:
      return 4;
    case DType::kFloat16:
    case DType::kBFloat16:
      return 2;
    case DType::kBool:
    case DType::kInt8:
    case DType::kInt4:
      break;
  }
  return 1;
}

inline constexpr const char* name_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return "float32";
    case DType::kFloat16:
      return "float16";
    case DType::kBFloat16:
      return "bfloat16";
    case DType::kInt32:
      return "int32";
    case DType::kInt8:
      return "int8";
    case DType::kInt4:
      return "int4";
    case DType::kBool:
      break;
  }
  return "bool";
}

/// body(T{}) with the C++ type of a float dtype: the choice is made outside the loop.
template <typename Body>
auto with_float_type(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kFloat16:
      return body(Float16{});
    case DType::kBFloat16:
      return body(BFloat16{});
    default:
      return body(float{});
  }
}

}  // namespace heddle
