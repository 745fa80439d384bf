#pragma once

#include "cuda/attention_problem.h"

namespace heddle::cuda {

Status attend_half(Problem<Float16> problem, CudaContext& context);
Status attend_half(Problem<BFloat16> problem, CudaContext& context);
/// The same on a device of compute capability 9.0.
Status attend_hopper(const Problem<Float16>& problem, CudaContext& context);
Status attend_hopper(const Problem<BFloat16>& problem, CudaContext& context);

}  // namespace heddle::cuda
