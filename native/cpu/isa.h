#pragma once

namespace heddle::cpu {

/// Levels of instruction sets of a processor family, each including those before it.
#if defined(__aarch64__) || defined(_M_ARM64)
enum class Isa { kGeneric, kNeon };
#else
enum class Isa { kGeneric, kAvx2, kAvx512, kAmx };
#endif

/// The level in use: the best that the machine and this build have, or what HEDDLE_CPU names. Throws RangeError for
/// a name that is unknown, or that the machine or the build lacks.
Isa isa();

const char* name_of(Isa isa);

/// Whether the machine has products of bytes among its AVX-512.
bool has_vnni();

/// Whether the machine has products of bytes among its NEON.
bool has_dotprod();

/// The best level that the machine and this build have.
Isa best_isa();

#if defined(HEDDLE_AMX_EMULATED)
/// From here on, instructions of AMX are emulated: test/native/amx/trap.cc.
namespace amx {
void emulate_tiles();
}
#endif

}  // namespace heddle::cpu
