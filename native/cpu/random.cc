#include "ops/random.h"

#include <algorithm>
#include <cmath>

#include "core/allocator.h"
#include "core/half.h"
#include "core/philox.h"
#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr int64_t kTileBlocks = 1024;  // of four elements

/// Calls body(words, i, n) for elements i … i + n - 1, n ≤ 4, of [0, count).
template <typename Body>
void for_blocks(KernelContext& context, const Tensor* seed, const Tensor* step, PhiloxUse use, int64_t count,
                double ns_per_block, const Body& body) {
  const auto* const keys = seed->data<uint32_t>();
  const uint32_t draw = *step->data<uint32_t>();
  const int64_t blocks = (count + 3) / 4, tiles = (blocks + kTileBlocks - 1) / kTileBlocks;
  context.parallel_for(tiles, ns_per_block * kTileBlocks, [&](int64_t tile) {
    const int64_t end = std::min(blocks, (tile + 1) * kTileBlocks);
    for (int64_t block = tile * kTileBlocks; block < end; ++block) {
      const PhiloxWords words =
          philox(keys[0], keys[1], static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), draw, use);
      body(words, 4 * block, static_cast<int>(std::min<int64_t>(4, count - 4 * block)));
    }
  });
}

/// Two normal numbers of words `first` and the one behind (Box and Muller, 1958).
void normals_of(const PhiloxWords& words, int first, float* to) {
  const float length = std::sqrt(-2.0f * std::log(words.unit(first) + 0x1p-24f));
  const float angle = 6.283185307f * words.unit(first + 1);
  to[0] = length * std::cos(angle);
  to[1] = length * std::sin(angle);
}

template <typename T>
void fill(const Random& op, KernelContext& context) {
  T* out = op.out->data<T>();
  const bool uniform = op.distribution == Distribution::kUniform;
  const float range = uniform ? op.second - op.first : op.second;
  for_blocks(context, op.seed, op.step, PhiloxUse::kRandom, op.out->numel(), uniform ? 20 : 80,
             [&](const PhiloxWords& words, int64_t i, int n) {
               float x[4];
               if (uniform) {
                 for (int j = 0; j < 4; ++j) x[j] = words.unit(j);
               } else {
                 normals_of(words, 0, x);
                 normals_of(words, 2, x + 2);
               }
               for (int j = 0; j < n; ++j) out[i + j] = from_float<T>(op.first + range * x[j]);
             });
}

template <typename T>
void drop(const Dropout& op, KernelContext& context) {
  const T* x = op.x->data<T>();
  T* out = op.out->data<T>();
  const uint64_t threshold = op.threshold();
  const float scale = static_cast<float>(1 / (1 - op.p));
  for_blocks(context, op.seed, op.step, PhiloxUse::kDropout, op.x->numel(), 20,
             [&](const PhiloxWords& words, int64_t i, int n) {
               for (int j = 0; j < n; ++j) {
                 out[i + j] = from_float<T>(words.at[j] < threshold ? 0.0f : to_float(x[i + j]) * scale);
               }
             });
}

/// Four partial sums: one chain would wait for each addition.
double dot(const double* a, const double* b, int64_t count) {
  double sums[4] = {};
  int64_t i = 0;
  for (; i + 4 <= count; i += 4) {
    for (int j = 0; j < 4; ++j) sums[j] += a[i + j] * b[i + j];
  }
  for (; i < count; ++i) sums[0] += a[i] * b[i];
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

/// rows [R, C], in place.
void orthogonalize(double* rows, int64_t count, int64_t width, const Orthogonalize& op, double* shares,
                   KernelContext& context) {
  constexpr int64_t kColumns = 256;
  for (int64_t r = 0; r < count; ++r) {
    double* const row = rows + r * width;
    const double length = std::sqrt(dot(row, row, width));
    for (int pass = 0; pass < 2; ++pass) {
      context.parallel_for(r, static_cast<double>(width) * 0.5,
                           [&](int64_t before) { shares[before] = dot(row, rows + before * width, width); });
      context.parallel_for((width + kColumns - 1) / kColumns, static_cast<double>(r * kColumns) * 0.5, [&](int64_t at) {
        const int64_t end = std::min(width, (at + 1) * kColumns);
        for (int64_t before = 0; before < r; ++before) {
          for (int64_t c = at * kColumns; c < end; ++c) row[c] -= shares[before] * rows[before * width + c];
        }
      });
    }
    const double left = std::sqrt(dot(row, row, width));
    // Those before it are used as of length 1; lengths come at the end.
    for (int64_t c = 0; c < width; ++c) row[c] /= left;
    shares[count + r] = op.scale * (op.keep_lengths ? length : 1.0);
  }
}

}  // namespace

void run(const Random& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { fill<decltype(type)>(op, context); });
}

void run(const Dropout& op, KernelContext& context) {
  with_float_type(op.out->dtype, [&](auto type) { drop<decltype(type)>(op, context); });
}

void run(const Orthogonalize& op, KernelContext& context) {
  const int64_t matrices = op.x->shape[0], count = op.x->shape[1], width = op.x->shape[2];
  const Scratch<double> scratch(context.allocator, count * width + 2 * count);
  double* const rows = scratch.get();
  double* const shares = rows + count * width;
  for (int64_t m = 0; m < matrices; ++m) {
    const float* x = op.x->data<float>() + m * count * width;
    float* out = op.out->data<float>() + m * count * width;
    std::copy_n(x, count * width, rows);
    orthogonalize(rows, count, width, op, shares, context);
    for (int64_t r = 0; r < count; ++r) {
      for (int64_t c = 0; c < width; ++c) {
        out[r * width + c] = static_cast<float>(rows[r * width + c] * shares[count + r]);
      }
    }
  }
}

}  // namespace heddle::cpu::HEDDLE_ISA
