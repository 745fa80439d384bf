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
#if defined(HEDDLE_HAVE_NEON)
HEDDLE_DECLARE_KERNELS(neon)
#endif

#if defined(HEDDLE_HAVE_DOTPROD)
// NEON with products of bytes, which not every machine of the level neon has: for quantized weights.
namespace heddle::cpu::dotprod {
HEDDLE_DECLARE_KERNEL(Linear)
}
#endif

#if defined(HEDDLE_HAVE_AMX)
// This level has kernels of its own for these ops, of bfloat16 and of quantized weights; all else in it is avx512's.
#define HEDDLE_TILE_OPS(X) X(Linear) X(Attention)
namespace heddle::cpu::amx {
HEDDLE_TILE_OPS(HEDDLE_DECLARE_KERNEL)
}
#endif

#undef HEDDLE_DECLARE_KERNELS
#undef HEDDLE_DECLARE_KERNEL
