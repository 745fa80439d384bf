#pragma once

/// Before a small function that kernels of both devices have in common.
#if defined(__CUDACC__)
#define HEDDLE_HOST_DEVICE __host__ __device__ __forceinline__
#else
#define HEDDLE_HOST_DEVICE inline
#endif

/// Before a template that kernels of both devices have in common and that does its work through a team (scores/row.h):
/// each device instantiates it with a team of its own.
#if defined(__CUDACC__)
#define HEDDLE_TEAM __device__ __forceinline__
#define HEDDLE_TEAM_CALL __device__ __noinline__  // long, and used in several places
#else
#define HEDDLE_TEAM inline
#define HEDDLE_TEAM_CALL inline
#endif
