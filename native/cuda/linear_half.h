#pragma once

#include "cuda/launch.h"
#include "ops/linear.h"

namespace heddle::cuda {

/// Linear of float16 or bfloat16.
Status linear_half(const Linear& op, CudaContext& context);

}  // namespace heddle::cuda
