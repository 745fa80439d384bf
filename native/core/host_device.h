#pragma once

/// Before a small function that kernels of both devices have in common.
#if defined(__CUDACC__)
#define HEDDLE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HEDDLE_HOST_DEVICE inline
#endif
