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
#if defined(HEDDLE_HAVE_NEON)
HEDDLE_PICK(neon)
#endif
#undef HEDDLE_PICK
#if defined(HEDDLE_HAVE_DOTPROD)
void run_with_dotprod(const Linear& op, KernelContext& context) {
  if (is_quantized(op.weight->dtype)) return cpu::dotprod::run(op, context);
  cpu::neon::run(op, context);
}
template <>
Kernel<Linear> neon_kernel<Linear>() {
  if (cpu::has_dotprod()) return run_with_dotprod;
  return static_cast<Kernel<Linear>>(cpu::neon::run);
}
#endif
#if defined(HEDDLE_HAVE_AVX512)
/// The first processors with AVX-512 have no products of bytes in it.
void run_without_vnni(const Linear& op, KernelContext& context) {
  if (is_quantized(op.weight->dtype)) return cpu::avx2::run(op, context);
  cpu::avx512::run(op, context);
}
template <>
Kernel<Linear> avx512_kernel<Linear>() {
  if (!cpu::has_vnni()) return run_without_vnni;
  return static_cast<Kernel<Linear>>(cpu::avx512::run);
}
#endif
#if defined(HEDDLE_HAVE_AMX)
template <typename Op>
Kernel<Op> amx_kernel() {
  return avx512_kernel<Op>();
}
/// Tiles multiply bfloat16, what x or q is, all float operands are, and quantized weights.
template <typename Op>
void run_tiles(const Op& op, KernelContext& context) {
  const auto reads = op.reads();
  if (reads[0]->dtype == DType::kBFloat16 || is_quantized(reads[1]->dtype)) return cpu::amx::run(op, context);
  cpu::avx512::run(op, context);
}
#define HEDDLE_PICK_TILES(Op)   \
  template <>                   \
  Kernel<Op> amx_kernel<Op>() { \
    return run_tiles<Op>;       \
  }
HEDDLE_TILE_OPS(HEDDLE_PICK_TILES)
#undef HEDDLE_PICK_TILES
#endif

template <typename Op>
Kernel<Op> pick(cpu::Isa isa) {
#if defined(HEDDLE_HAVE_AMX)
  if (isa >= cpu::Isa::kAmx) return amx_kernel<Op>();
#endif
#if defined(HEDDLE_HAVE_AVX512)
  if (isa >= cpu::Isa::kAvx512) return avx512_kernel<Op>();
#endif
#if defined(HEDDLE_HAVE_NEON)
  if (isa >= cpu::Isa::kNeon) return neon_kernel<Op>();
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
