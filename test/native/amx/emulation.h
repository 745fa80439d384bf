#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace heddle::cpu::HEDDLE_ISA {

/// The tiles of AMX as a processor without them has them: each function is an instruction. What a processor refuses
/// ends the process with a word why.
class EmulatedTiles {
 public:
  /// A thread's own.
  static EmulatedTiles& of_thread() {
    static thread_local EmulatedTiles tiles;
    return tiles;
  }

  /// LDTILECFG; tiles of any but the full shape are not emulated.
  void configure(const void* configuration) {
    uint8_t full[64] = {1};
    for (int t = 0; t < kTiles; ++t) full[16 + 2 * t] = kRowBytes, full[48 + t] = kRows;
    if (std::memcmp(configuration, full, sizeof full) != 0) fault("ldtilecfg", "these shapes are not emulated");
    std::memset(tiles_, 0, sizeof tiles_);
    configured_ = true;
  }

  /// TILERELEASE
  void release() { configured_ = false; }

  /// TILEZERO
  void zero(int t) { std::memset(tile("tilezero", t), 0, sizeof(Tile)); }

  /// TILELOADD
  void load(int t, const void* from, int64_t stride) {
    Tile& to = tile("tileloadd", t);
    for (int row = 0; row < kRows; ++row) {
      std::memcpy(to[row], static_cast<const char*>(from) + row * stride, kRowBytes);
    }
  }

  /// TILESTORED
  void store(int t, void* to, int64_t stride) {
    const Tile& from = tile("tilestored", t);
    for (int row = 0; row < kRows; ++row) {
      std::memcpy(static_cast<char*>(to) + row * stride, from[row], kRowBytes);
    }
  }

  /// TDPBF16PS: c += a · b
  void multiply(int c, int a, int b) {
    if (c == a || c == b || a == b) fault("tdpbf16ps", "a tile is named twice");
    constexpr unsigned kNoTraps = 0x1F80, kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;  // and to the nearest
    const unsigned before = _mm_getcsr();
    _mm_setcsr(kNoTraps | kFlushToZero | kDenormalsAreZero);
    multiply(tile("tdpbf16ps", c), tile("tdpbf16ps", a), tile("tdpbf16ps", b));
    _mm_setcsr(before);
  }

  /// TDPBSSD: c += a · b
  void multiply_bytes(int c, int a, int b) {
    if (c == a || c == b || a == b) fault("tdpbssd", "a tile is named twice");
    multiply_bytes(tile("tdpbssd", c), tile("tdpbssd", a), tile("tdpbssd", b));
  }

 private:
  static constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;
  using Tile = uint32_t[kRows][kRowBytes / 4];

  [[noreturn]] static void fault(const char* instruction, const char* why) {
    std::fprintf(stderr, "%s: %s\n", instruction, why);
    std::abort();
  }

  Tile& tile(const char* instruction, int t) {
    if (!configured_) fault(instruction, "tiles are not configured on this thread");
    return tiles_[t];
  }

  /// As Intel's manual has it (Software Developer's Manual, volume 2, TDPBF16PS, "Operation"). A row's products are
  /// summed apart from what c holds, those of even k and those of odd k in a chain of fused multiply-adds each; the two
  /// sums are added, and then added to c. Each of these rounds to the nearest and of two to the even one, takes
  /// denormal operands as zero and gives zero for a denormal result: what MXCSR's bits of these names do, so the
  /// processor at hand does it, and the caller sets them. Not inlined: the compiler does not know that arithmetic
  /// depends on MXCSR.
  [[gnu::noinline]] static void multiply(Tile& c, const Tile& a, const Tile& b) {
    const __m512i upper = _mm512_set1_epi32(static_cast<int>(0xFFFF0000u));
    for (int m = 0; m < kRows; ++m) {
      __m512 even = _mm512_setzero_ps(), odd = _mm512_setzero_ps();
      for (int k = 0; k < kRows; ++k) {
        const __m512i x = _mm512_set1_epi32(static_cast<int>(a[m][k])), y = _mm512_load_si512(b[k]);
        even = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_slli_epi32(x, 16)),
                               _mm512_castsi512_ps(_mm512_slli_epi32(y, 16)), even);
        odd = _mm512_fmadd_ps(_mm512_castsi512_ps(_mm512_and_si512(x, upper)),
                              _mm512_castsi512_ps(_mm512_and_si512(y, upper)), odd);
      }
      _mm512_store_ps(c[m], _mm512_add_ps(_mm512_load_ps(c[m]), _mm512_add_ps(even, odd)));
    }
  }

  /// As the same manual has it (TDPBSSD, "Operation"): to each number of c, one of int32 that wraps, products of four
  /// signed bytes of a's row and of b's column are added for each k. Their sum fits into an int32, so whether it is
  /// made first does not show.
  static void multiply_bytes(Tile& c, const Tile& a, const Tile& b) {
    const auto byte = [](uint32_t four, int i) { return static_cast<int32_t>(static_cast<int8_t>(four >> 8 * i)); };
    for (int m = 0; m < kRows; ++m) {
      for (int k = 0; k < kRows; ++k) {
        for (int n = 0; n < kRowBytes / 4; ++n) {
          int32_t sum = 0;
          for (int i = 0; i < 4; ++i) sum += byte(a[m][k], i) * byte(b[k][n], i);
          c[m][n] += static_cast<uint32_t>(sum);
        }
      }
    }
  }

  bool configured_ = false;
  alignas(64) Tile tiles_[kTiles];
};

}  // namespace heddle::cpu::HEDDLE_ISA
