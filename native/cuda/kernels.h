#pragma once

#include "cuda/launch.h"
#include "ops/op_list.h"

namespace heddle::cuda {

/// Queues an op's kernels on the context's stream. The op was checked, and its tensors have memory of the device.
#define HEDDLE_DECLARE_KERNEL(Op) Status run(const Op& op, CudaContext& context);
HEDDLE_OPS(HEDDLE_DECLARE_KERNEL)
#undef HEDDLE_DECLARE_KERNEL

}  // namespace heddle::cuda
