#pragma once

#include "core/device.h"
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

template <typename Op>
void dispatch(Device, const Op& op, KernelContext& context) {
  cpu_kernel<Op>()(op, context);
}

}  // namespace heddle
