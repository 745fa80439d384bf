#pragma once

#include "core/kernel_context.h"
#include "ops/op_list.h"

// The kernels of each instruction set: `void run(const Op&, KernelContext&)` for every op, defined in cpu/<op>.cc,
// which is compiled once per level with HEDDLE_ISA set to the name of the level's namespace.

#define HEDDLE_DECLARE_KERNEL(Op) void run(const Op& op, KernelContext& context);
#define HEDDLE_DECLARE_KERNELS(isa) \
  namespace heddle::cpu::isa {      \
  HEDDLE_OPS(HEDDLE_DECLARE_KERNEL) \
  }

HEDDLE_DECLARE_KERNELS(generic)
#if defined(HEDDLE_HAVE_AVX2)
HEDDLE_DECLARE_KERNELS(avx2)
#endif
#if defined(HEDDLE_HAVE_AVX512)
HEDDLE_DECLARE_KERNELS(avx512)
#endif

#undef HEDDLE_DECLARE_KERNELS
#undef HEDDLE_DECLARE_KERNEL
