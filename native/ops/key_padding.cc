#include "ops/key_padding.h"

#include "ops/checks.h"

namespace heddle {

void check_key_padding(const char* function, const Tensor* padding, int64_t batch, int64_t keys) {
  check_strided(function, "padding", padding);
  if (padding->dtype == DType::kInt32) return check_int32_vector(function, "padding", padding, batch);
  if (padding->dtype != DType::kBool) {
    throw_type_error("[", function, "] padding must be int32 or bool but got ", name_of(padding->dtype));
  }
  check_shape(function, "padding", padding, Shape{batch, keys});
  check_dense(function, "padding", padding);
}

}  // namespace heddle
