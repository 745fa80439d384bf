#pragma once

#include "cuda/launch.h"
#include "ops/linear.h"

namespace heddle::cuda {

/// PackPanels to int8 or int4.
Status pack_quantized(const PackPanels& op, CudaContext& context);
/// Linear of a weight of int8 or int4.
Status linear_quantized(const Linear& op, CudaContext& context);

}  // namespace heddle::cuda
