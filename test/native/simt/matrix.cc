#include <cstring>

#include "simt/simulator.h"

// The matrix operations of a warp. Lane l is at row or column g = l / 4 and, of the other, at t = 2 (l % 4).

namespace heddle::simt {
namespace {

constexpr int kWarp = 32;

struct Load {
  uint32_t* to;
  const uint16_t* row;
};

template <bool Transposed>
void load(void* const* lanes) {
  const auto of = [&](int i) { return *static_cast<const Load*>(lanes[i]); };
  for (int matrix = 0; matrix < 4; ++matrix) {
    uint16_t rows[8][8];
    for (int r = 0; r < 8; ++r) std::memcpy(rows[r], of(matrix * 8 + r).row, sizeof rows[r]);
    for (int i = 0; i < kWarp; ++i) {
      const int g = i / 4, t = i % 4 * 2;
      const uint32_t first = Transposed ? rows[t][g] : rows[g][t];
      const uint32_t second = Transposed ? rows[t + 1][g] : rows[g][t + 1];
      of(i).to[matrix] = first | second << 16;
    }
  }
}

template <typename Sum>
struct Product {
  Sum* sums;
  const uint32_t* a;
  uint32_t b[2];
};

template <typename T>
void multiply(void* const* lanes) {
  const auto of = [&](int i) -> const Product<float>& { return *static_cast<const Product<float>*>(lanes[i]); };
  const auto split = [](uint32_t two, float& first, float& second) {
    first = to_float(T{static_cast<uint16_t>(two)});
    second = to_float(T{static_cast<uint16_t>(two >> 16)});
  };
  float a[16][16], b[8][16];  // b by column
  for (int i = 0; i < kWarp; ++i) {
    const int g = i / 4, t = i % 4 * 2;
    for (int j = 0; j < 4; ++j) {
      float* const to = &a[g + j % 2 * 8][t + j / 2 * 8];
      split(of(i).a[j], to[0], to[1]);
    }
    for (int j = 0; j < 2; ++j) split(of(i).b[j], b[g][t + j * 8], b[g][t + j * 8 + 1]);
  }
  for (int i = 0; i < kWarp; ++i) {
    for (int j = 0; j < 4; ++j) {
      const float* const row = a[i / 4 + j / 2 * 8];
      const float* const column = b[i % 4 * 2 + j % 2];
      float sum = of(i).sums[j];
      for (int k = 0; k < 16; ++k) sum += row[k] * column[k];
      of(i).sums[j] = sum;
    }
  }
}

void multiply_int8(void* const* lanes) {
  const auto of = [&](int i) -> const Product<int32_t>& { return *static_cast<const Product<int32_t>*>(lanes[i]); };
  int8_t a[16][32], b[8][32];  // b by column
  for (int i = 0; i < kWarp; ++i) {
    const int g = i / 4, t = i % 4 * 4;
    for (int j = 0; j < 4; ++j) std::memcpy(&a[g + j % 2 * 8][t + j / 2 * 16], of(i).a + j, 4);
    for (int j = 0; j < 2; ++j) std::memcpy(&b[g][t + j * 16], of(i).b + j, 4);
  }
  for (int i = 0; i < kWarp; ++i) {
    for (int j = 0; j < 4; ++j) {
      const int8_t* const row = a[i / 4 + j / 2 * 8];
      const int8_t* const column = b[i % 4 * 2 + j % 2];
      int64_t sum = of(i).sums[j];
      for (int k = 0; k < 32; ++k) sum += row[k] * column[k];
      of(i).sums[j] = static_cast<int32_t>(sum);
    }
  }
}

}  // namespace

void load_matrices(uint32_t* to, const void* row, bool transposed, Site site) {
  Load own{to, static_cast<const uint16_t*>(aligned(row, 16))};
  collective(transposed ? "ldmatrix_transposed" : "ldmatrix", transposed ? load<true> : load<false>, &own, site);
}

template <typename T>
void multiply_matrices(float* sums, const uint32_t* a, uint32_t b0, uint32_t b1, Site site) {
  Product<float> own{sums, a, {b0, b1}};
  collective("mma", multiply<T>, &own, site);
}
void multiply_bytes(int32_t* sums, const uint32_t* a, uint32_t b0, uint32_t b1, Site site) {
  Product<int32_t> own{sums, a, {b0, b1}};
  collective("mma_bytes", multiply_int8, &own, site);
}
template void multiply_matrices<Float16>(float*, const uint32_t*, uint32_t, uint32_t, Site);
template void multiply_matrices<BFloat16>(float*, const uint32_t*, uint32_t, uint32_t, Site);

}  // namespace heddle::simt
