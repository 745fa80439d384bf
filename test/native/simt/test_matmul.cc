#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

/// Strides of a dense tensor, of one whose last two axes are exchanged, or of a slice: rows three elements apart.
enum class Lie { kDense, kAcross, kApart };

Shape strides_of(const Shape& shape, Lie lie) {
  Shape strides = contiguous_strides(shape);
  if (lie == Lie::kAcross) {
    strides[-1] = shape[-2];
    strides[-2] = 1;
  } else if (lie == Lie::kApart) {
    Shape wide = shape;
    wide[-1] += 3;
    strides = contiguous_strides(wide);
  }
  return strides;
}

void check_as(DType dtype, const Shape& a, const Shape& b, const Shape& out_shape, Lie lie) {
  begin_case(concat(name_of(dtype), " ", a, " · ", b, ", lying ", static_cast<int>(lie)));
  const int64_t m = a[-2], k = a[-1], n = b[-1];
  const Floats x = normals(a.numel(), 1, dtype), y = normals(b.numel(), 2, dtype);
  const Values out(dtype, out_shape);
  compute(Matmul{Values::of(a, x, strides_of(a, lie), 1, dtype), Values::of(b, y, strides_of(b, lie), 2, dtype), out});
  // Batches here are of one axis, or a is broadcast.
  const auto formula = [&](auto real) {
    using Real = decltype(real);
    std::vector<Real> products;
    for (int64_t i = 0; i < out_shape.numel() / std::max<int64_t>(1, m * n); ++i) {
      const float* const from = x.data() + (a.rank() > 2 && a[0] > 1 ? i * m * k : 0);
      const float* const to = y.data() + (b.rank() > 2 && b[0] > 1 ? i * k * n : 0);
      for (int64_t r = 0; r < m; ++r) {
        for (int64_t c = 0; c < n; ++c) {
          Real sum = 0;
          for (int64_t j = 0; j < k; ++j) sum += Real(from[r * k + j]) * Real(to[j * n + c]);
          products.push_back(sum);
        }
      }
    }
    return products;
  };
  HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
  // The last row alone.
  if (out_shape.numel() == 0 || a.rank() > 2 || b.rank() > 2) return;
  const Values alone(dtype, {1, n});
  compute(Matmul{Values::of({1, k}, Floats(x.end() - k, x.end()), dtype), Values::of(b, y, dtype), alone});
  const Floats all = out.floats();
  expect_same_bytes(alone.floats(), Floats(all.end() - n, all.end()), "a row alone");
}

}  // namespace

void test_matmul() {
  begin_op(Matmul::kName);
  for (const DType dtype : kFloatTypes) {
    for (const Lie lie : {Lie::kDense, Lie::kAcross, Lie::kApart}) {
      check_as(dtype, {1, 1}, {1, 1}, {1, 1}, lie);
      check_as(dtype, {5, 16}, {16, 7}, {5, 7}, lie);
      check_as(dtype, {65, 33}, {33, 66}, {65, 66}, lie);
      check_as(dtype, {3, 70, 5}, {3, 5, 4}, {3, 70, 4}, lie);
      check_as(dtype, {2, 4, 6}, {6, 65}, {2, 4, 65}, lie);
      check_as(dtype, {1, 4, 6}, {3, 6, 5}, {3, 4, 5}, lie);
    }
    check_as(dtype, {3, 0}, {0, 2}, {3, 2}, Lie::kDense);
    check_as(dtype, {0, 4}, {4, 2}, {0, 2}, Lie::kDense);
  }
}

}  // namespace heddle::test
