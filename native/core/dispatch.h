#pragma once

#include <memory>

#include "core/backend.h"
#include "core/kernel_context.h"

namespace heddle {

/// The kernel of an op on a device. The one place that knows which devices there are.
template <typename Op>
using Kernel = void (*)(const Op& op, KernelContext& context);

/// Defined for every op of ops/op_list.h, in cpu/kernels.cc.
template <typename Op>
Kernel<Op> cpu_kernel();

/// The instruction set of the CPU's kernels. Throws RangeError if HEDDLE_CPU asks for one that is not there.
const char* cpu_instruction_set();

/// Launches an op on a CUDA device. Defined for every op, as is `fail_late`, in cuda/backend.cc.
template <typename Op>
void cuda_launch(Backend& backend, const Op& op);

/// Throws the error that an outcome of an op stands for: see Backend::outcome.
template <typename Op>
[[noreturn]] void fail_late(const Op& op, uint64_t outcome);

/// Throws RangeError, with the reason, if the device is not there or cannot be used.
std::unique_ptr<Backend> open_backend(Device device);

template <typename Op>
void dispatch(Backend& backend, const Op& op) {
  if (backend.device().kind == DeviceKind::kCuda) return cuda_launch(backend, op);
  KernelContext context{ThreadPool::instance(), backend.allocator()};
  cpu_kernel<Op>()(op, context);
}

}  // namespace heddle
