#pragma once

#include "cuda/hopper.h"
#include "cuda/launch.h"

namespace heddle::cuda {

/// What copy_box is given. The driver makes it, on the host alone; the library is not linked with the driver, so its
/// function is asked for by name, once.
inline Status make_map(const Box& box, TensorMap* tensor) {
#if defined(HEDDLE_SIMULATOR)
  *tensor = {box};
  return kSuccess;
#else
  using Encode = decltype(&cuTensorMapEncodeTiled);
  static const Encode encode = [] {
    void* found = nullptr;
    cudaDriverEntryPointQueryResult result;
    constexpr unsigned kSince = 12000;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &found, kSince, cudaEnableDefault, &result) !=
        cudaSuccess) {
      found = nullptr;
    }
    return reinterpret_cast<Encode>(found);
  }();
  if (!encode) return cudaErrorNotSupported;
  constexpr cuuint64_t kBytes = sizeof(uint16_t);
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(box.x), static_cast<cuuint64_t>(box.y),
                              static_cast<cuuint64_t>(box.z)};
  const cuuint64_t steps[] = {static_cast<cuuint64_t>(box.y_step) * kBytes,
                              static_cast<cuuint64_t>(box.z_step) * kBytes};
  const cuuint32_t box_sizes[] = {64, static_cast<cuuint32_t>(box.lines), 1}, every[] = {1, 1, 1};
  const CUresult status = encode(&tensor->map, CU_TENSOR_MAP_DATA_TYPE_UINT16, 3, const_cast<void*>(box.data), sizes,
                                 steps, box_sizes, every, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                                 CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return status == CUDA_SUCCESS ? kSuccess : kInvalidValue;
#endif
}

}  // namespace heddle::cuda
