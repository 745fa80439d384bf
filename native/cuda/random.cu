#include "core/philox.h"
#include "cuda/kernels.h"
#include "cuda/reduce.h"
#include "cuda/strided.h"
#include "ops/random.h"

namespace heddle::cuda {
namespace {

/// What counts the numbers of an op.
struct Counter {
  const uint32_t* seed;
  const uint32_t* step;
  PhiloxUse use;
};

/// Calls body(words, i, n) for elements i … i + n - 1, n ≤ 4, of this thread's share of [0, count).
template <typename Body>
HEDDLE_DEVICE void for_blocks(const Counter& counter, int64_t count, const Body& body) {
  const uint32_t key0 = counter.seed[0], key1 = counter.seed[1], draw = *counter.step;
  for_each<int64_t>((count + 3) / 4, [&](int64_t block) {
    const PhiloxWords words =
        philox(key0, key1, static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), draw, counter.use);
    const int64_t left = count - 4 * block;
    body(words, 4 * block, left < 4 ? static_cast<int>(left) : 4);
  });
}

/// Two normal numbers of words `first` and the one behind (Box and Muller, 1958).
HEDDLE_DEVICE void normals_of(const PhiloxWords& words, int first, float* to) {
  const float length = sqrtf(-2.0f * logf(words.unit(first) + 0x1p-24f));
  const float angle = 6.283185307f * words.unit(first + 1);
  to[0] = length * cosf(angle);
  to[1] = length * sinf(angle);
}

template <typename T>
HEDDLE_KERNEL(kElementThreads)
fill(Counter counter, int64_t count, bool uniform, float first, float range, T* out) {
  for_blocks(counter, count, [&](const PhiloxWords& words, int64_t i, int n) {
    float x[4];
    if (uniform) {
      for (int j = 0; j < 4; ++j) x[j] = words.unit(j);
    } else {
      normals_of(words, 0, x);
      normals_of(words, 2, x + 2);
    }
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (j < n) out[i + j] = narrow<T>(first + range * x[j]);
    }
  });
}

template <typename T>
HEDDLE_KERNEL(kElementThreads)
drop(Counter counter, int64_t count, uint64_t threshold, float scale, const T* x, T* out) {
  for_blocks(counter, count, [&](const PhiloxWords& words, int64_t i, int n) {
    HEDDLE_UNROLL
    for (int j = 0; j < 4; ++j) {
      if (j < n) out[i + j] = narrow<T>(words.at[j] < threshold ? 0.0f : widen(x[i + j]) * scale);
    }
  });
}

constexpr int kOrthogonalThreads = 512;

HEDDLE_DEVICE double dot_of_warp(const double* a, const double* b, int64_t count) {
  double sum = 0;
  for (int64_t i = lane_index(); i < count; i += kWarp) sum += a[i] * b[i];
  return reduce_warp(sum, Sum{});
}

/// A block a matrix; `all` is scratch for its rows, `all_shares` for two numbers a row.
HEDDLE_KERNEL(kOrthogonalThreads)
orthogonalize_rows(int64_t count, int64_t width, bool keep_lengths, float scale, const float* x, double* all,
                   double* all_shares, float* out) {
  const int64_t first = block_x() * count * width;
  double* const rows = all + first;
  double* const shares = all_shares + block_x() * count;
  for (int64_t i = thread_index(); i < count * width; i += kOrthogonalThreads) rows[i] = x[first + i];
  sync_block();
  for (int64_t r = 0; r < count; ++r) {
    double* const row = rows + r * width;
    const double length = sqrt(dot_of_warp(row, row, width));
    for (int pass = 0; pass < 2; ++pass) {
      for (int64_t before = warp_index(); before < r; before += num_warps()) {
        const double share = dot_of_warp(row, rows + before * width, width);
        if (lane_index() == 0) shares[before] = share;
      }
      sync_block();  // the shares are there
      for (int64_t c = thread_index(); c < width; c += kOrthogonalThreads) {
        double left = row[c];
        for (int64_t before = 0; before < r; ++before) left -= shares[before] * rows[before * width + c];
        row[c] = left;
      }
      sync_block();  // and taken off
    }
    const double left = sqrt(dot_of_warp(row, row, width)), reach = scale * (keep_lengths ? length : 1.0);
    sync_block();  // all have measured the row
    for (int64_t c = thread_index(); c < width; c += kOrthogonalThreads) {
      row[c] /= left;
      out[first + r * width + c] = static_cast<float>(row[c] * reach);
    }
    sync_block();  // the next row is compared with it
  }
}

Counter counter_of(const Tensor* seed, const Tensor* step, PhiloxUse use) {
  return {seed->data<uint32_t>(), step->data<uint32_t>(), use};
}

}  // namespace

Status run(const Random& op, CudaContext& context) {
  const int64_t count = op.out->numel();
  const bool uniform = op.distribution == Distribution::kUniform;
  return with_float_type(op.out->dtype, [&](auto type) {
    using T = decltype(type);
    return launch(fill<T>, grid_for(ceil_div(count, 4)), context, counter_of(op.seed, op.step, PhiloxUse::kRandom),
                  count, uniform, op.first, uniform ? op.second - op.first : op.second, op.out->data<T>());
  });
}

Status run(const Dropout& op, CudaContext& context) {
  const int64_t count = op.x->numel();
  return with_float_type(op.x->dtype, [&](auto type) {
    using T = decltype(type);
    return launch(drop<T>, grid_for(ceil_div(count, 4)), context, counter_of(op.seed, op.step, PhiloxUse::kDropout),
                  count, op.threshold(), static_cast<float>(1 / (1 - op.p)), op.x->data<T>(), op.out->data<T>());
  });
}

Status run(const Orthogonalize& op, CudaContext& context) {
  const int64_t matrices = op.x->shape[0], count = op.x->shape[1], width = op.x->shape[2];
  if (op.x->numel() == 0) return kSuccess;
  const int64_t numbers = matrices * count * (width + 1);
  auto* const scratch = static_cast<double*>(context.allocate(context.owner, sizeof(double) * numbers));
  if (!scratch) return kOutOfMemory;
  return launch(orthogonalize_rows, {matrices, kOrthogonalThreads}, context, count, width, op.keep_lengths, op.scale,
                op.x->data<float>(), scratch, scratch + matrices * count * width, op.out->data<float>());
}

}  // namespace heddle::cuda
