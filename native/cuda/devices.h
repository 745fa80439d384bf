#pragma once

#include "core/device.h"
#include "cuda/library.h"

namespace heddle::cuda {

/// The CUDA part of this process, once `cuda_devices` has found devices.
const Library& library();

}  // namespace heddle::cuda
