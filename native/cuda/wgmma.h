#pragma once

#include "cuda/device.h"

// wgmma of halves with float32 sums (PTX ISA, 9.7.15.5), by its number of columns. An instruction names each of its
// registers, so lists of them are what this file is made of.

namespace heddle::cuda {

template <int Columns>
struct Wgmma;

// Operands: the sums of a tile of 8 columns, of 2, 4, … tiles.
#define HEDDLE_SUMS1(j) "+f"(sums[j][0]), "+f"(sums[j][1]), "+f"(sums[j][2]), "+f"(sums[j][3])
#define HEDDLE_SUMS2(j) HEDDLE_SUMS1(j), HEDDLE_SUMS1(j + 1)
#define HEDDLE_SUMS4(j) HEDDLE_SUMS2(j), HEDDLE_SUMS2(j + 2)
#define HEDDLE_SUMS8(j) HEDDLE_SUMS4(j), HEDDLE_SUMS4(j + 4)
#define HEDDLE_SUMS16(j) HEDDLE_SUMS8(j), HEDDLE_SUMS8(j + 8)
#define HEDDLE_SUMS32(j) HEDDLE_SUMS16(j), HEDDLE_SUMS16(j + 16)

// Their names: of 1, 2, 4, … tiles from the first on.
#define HEDDLE_NAMES1 "%0, %1, %2, %3"
#define HEDDLE_NAMES2 \
  HEDDLE_NAMES1       \
  ", %4, %5, %6, %7"
#define HEDDLE_NAMES4 \
  HEDDLE_NAMES2       \
  ", %8, %9, %10, %11, %12, %13, %14, %15"
#define HEDDLE_NAMES8 \
  HEDDLE_NAMES4       \
  ", %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define HEDDLE_NAMES16                                                               \
  HEDDLE_NAMES8                                                                      \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47" \
  ", %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define HEDDLE_NAMES32                                                                           \
  HEDDLE_NAMES16                                                                                 \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79"             \
  ", %80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95"             \
  ", %96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111" \
  ", %112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// m64n(Columns)k16 with a in shared memory, whose operands behind the sums are %i0 a, %i1 b, %i2 whether it adds, %i3
// and %i4 whether a and b are transposed; and in registers: %i0 … %i3 a, %i4 b, %i5, %i6.
#define HEDDLE_WGMMA_SHARED(columns, type, names, operands, i0, i1, i2, i3, i4)                                      \
  asm volatile("{\n.reg .pred adds;\nsetp.ne.b32 adds, %" #i2                                                        \
               ", 0;\n"                                                                                              \
               "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." type "." type " {" names "}, %" #i0 ", %" #i1 \
               ", adds, 1, 1, %" #i3 ", %" #i4 ";\n}"                                                                \
               : operands                                                                                            \
               : "l"(a), "l"(b), "r"(static_cast<int>(adds)), "n"(kTransposedA), "n"(kTransposedB)                   \
               : "memory")
#define HEDDLE_WGMMA_REGISTERS(columns, type, names, operands, i0, i1, i2, i3, i4, i5, i6)                            \
  asm volatile("{\n.reg .pred adds;\nsetp.ne.b32 adds, %" #i5                                                         \
               ", 0;\n"                                                                                               \
               "wgmma.mma_async.sync.aligned.m64n" #columns "k16.f32." type "." type " {" names "}, {%" #i0 ", %" #i1 \
               ", %" #i2 ", %" #i3 "}, %" #i4 ", adds, 1, 1, %" #i6 ";\n}"                                            \
               : operands                                                                                             \
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(static_cast<int>(adds)), "n"(kTransposedB)   \
               : "memory")
#define HEDDLE_DEFINE_WGMMA(columns, tiles, i0, i1, i2, i3, i4, i5, i6)                                             \
  template <>                                                                                                       \
  struct Wgmma<columns> {                                                                                           \
    template <typename T, int kTransposedA, int kTransposedB>                                                       \
    HEDDLE_DEVICE static void shared(float (&sums)[tiles][4], uint64_t a, uint64_t b, bool adds) {                  \
      if constexpr (std::is_same_v<T, Float16>) {                                                                   \
        HEDDLE_WGMMA_SHARED(columns, "f16", HEDDLE_NAMES##tiles, HEDDLE_SUMS##tiles(0), i0, i1, i2, i3, i4);        \
      } else {                                                                                                      \
        HEDDLE_WGMMA_SHARED(columns, "bf16", HEDDLE_NAMES##tiles, HEDDLE_SUMS##tiles(0), i0, i1, i2, i3, i4);       \
      }                                                                                                             \
    }                                                                                                               \
    template <typename T, int kTransposedB>                                                                         \
    HEDDLE_DEVICE static void registers(float (&sums)[tiles][4], const uint32_t (&a)[4], uint64_t b, bool adds) {   \
      if constexpr (std::is_same_v<T, Float16>) {                                                                   \
        HEDDLE_WGMMA_REGISTERS(columns, "f16", HEDDLE_NAMES##tiles, HEDDLE_SUMS##tiles(0), i0, i1, i2, i3, i4, i5,  \
                               i6);                                                                                 \
      } else {                                                                                                      \
        HEDDLE_WGMMA_REGISTERS(columns, "bf16", HEDDLE_NAMES##tiles, HEDDLE_SUMS##tiles(0), i0, i1, i2, i3, i4, i5, \
                               i6);                                                                                 \
      }                                                                                                             \
    }                                                                                                               \
  }

HEDDLE_DEFINE_WGMMA(8, 1, 4, 5, 6, 7, 8, 9, 10);
HEDDLE_DEFINE_WGMMA(16, 2, 8, 9, 10, 11, 12, 13, 14);
HEDDLE_DEFINE_WGMMA(32, 4, 16, 17, 18, 19, 20, 21, 22);
HEDDLE_DEFINE_WGMMA(64, 8, 32, 33, 34, 35, 36, 37, 38);
HEDDLE_DEFINE_WGMMA(128, 16, 64, 65, 66, 67, 68, 69, 70);
HEDDLE_DEFINE_WGMMA(256, 32, 128, 129, 130, 131, 132, 133, 134);

#undef HEDDLE_DEFINE_WGMMA
#undef HEDDLE_WGMMA_REGISTERS
#undef HEDDLE_WGMMA_SHARED
#undef HEDDLE_NAMES32
#undef HEDDLE_NAMES16
#undef HEDDLE_NAMES8
#undef HEDDLE_NAMES4
#undef HEDDLE_NAMES2
#undef HEDDLE_NAMES1
#undef HEDDLE_SUMS32
#undef HEDDLE_SUMS16
#undef HEDDLE_SUMS8
#undef HEDDLE_SUMS4
#undef HEDDLE_SUMS2
#undef HEDDLE_SUMS1

}  // namespace heddle::cuda
