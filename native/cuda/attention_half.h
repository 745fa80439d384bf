#pragma once

#include "cuda/attention_problem.h"

namespace heddle::cuda {

Status attend_half(Problem<Float16> problem, CudaContext& context);
Status attend_half(Problem<BFloat16> problem, CudaContext& context);

}  // namespace heddle::cuda
