#pragma once

#include "cuda/context.h"
#include "cuda/device.h"

namespace heddle::cuda {

#if defined(HEDDLE_SIMULATOR)
enum Status : int { kSuccess = 0, kInvalidValue = 1, kOutOfMemory = 2 };
#else
using Status = cudaError_t;
constexpr Status kSuccess = cudaSuccess;
constexpr Status kInvalidValue = cudaErrorInvalidValue;
constexpr Status kOutOfMemory = cudaErrorMemoryAllocation;
#endif

/// How many blocks run a kernel, and of what size. No blocks is no launch.
struct Grid {
  int64_t blocks_x;
  int threads;
  int64_t blocks_y = 1;
  size_t shared_bytes = 0;
};

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// The T as it stands: keeps arguments out of deduction, so that they convert to the kernel's parameters.
template <typename T>
struct Same {
  using type = T;
};

template <typename... Parameters>
Status launch(void (*kernel)(Parameters...), const Grid& grid, CudaContext& context,
              const typename Same<Parameters>::type&... arguments) {
  if (grid.blocks_x == 0 || grid.blocks_y == 0) return kSuccess;
  if (grid.blocks_x > INT32_MAX || grid.blocks_y > 65535) return kInvalidValue;
#if defined(HEDDLE_SIMULATOR)
  const simt::Extent extent{grid.blocks_x, grid.blocks_y, grid.threads, grid.shared_bytes};
  simt::launch_on(context.stream, extent, [=] { kernel(arguments...); });
  return kSuccess;
#else
  constexpr size_t kAlwaysThere = size_t{48} << 10;
  if (grid.shared_bytes > kAlwaysThere) {
    const Status status =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(grid.shared_bytes));
    if (status != cudaSuccess) return status;
  }
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(grid.blocks_x), static_cast<unsigned>(grid.blocks_y));
  config.blockDim = dim3(static_cast<unsigned>(grid.threads));
  config.dynamicSmemBytes = grid.shared_bytes;
  config.stream = static_cast<cudaStream_t>(context.stream);
  return cudaLaunchKernelEx(&config, kernel, arguments...);
#endif
}

}  // namespace heddle::cuda
