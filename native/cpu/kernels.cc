#include "cpu/kernels.h"

#include "core/dispatch.h"
#include "cpu/isa.h"

namespace heddle {
namespace {

/// The kernels of a level; a level without its own uses the next lower.
#define HEDDLE_PICK(isa)                           \
  template <typename Op>                           \
  Kernel<Op> isa##_kernel() {                      \
    return static_cast<Kernel<Op>>(cpu::isa::run); \
  }
HEDDLE_PICK(generic)
#if defined(HEDDLE_HAVE_AVX2)
HEDDLE_PICK(avx2)
#endif
#if defined(HEDDLE_HAVE_AVX512)
HEDDLE_PICK(avx512)
#endif
#undef HEDDLE_PICK

template <typename Op>
Kernel<Op> pick(cpu::Isa isa) {
#if defined(HEDDLE_HAVE_AVX512)
  if (isa >= cpu::Isa::kAvx512) return avx512_kernel<Op>();
#endif
#if defined(HEDDLE_HAVE_AVX2)
  if (isa >= cpu::Isa::kAvx2) return avx2_kernel<Op>();
#endif
  (void)isa;
  return generic_kernel<Op>();
}

}  // namespace

const char* cpu_instruction_set() { return cpu::name_of(cpu::isa()); }

#define HEDDLE_CPU_KERNEL(Op)                              \
  template <>                                              \
  Kernel<Op> cpu_kernel<Op>() {                            \
    static const Kernel<Op> kernel = pick<Op>(cpu::isa()); \
    return kernel;                                         \
  }
HEDDLE_OPS(HEDDLE_CPU_KERNEL)
#undef HEDDLE_CPU_KERNEL

}  // namespace heddle
