#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

/// Mean and inverse deviation, and the unbiased deviation.
void check_layer_norm_stats(DType dtype, int64_t width, bool unbiased) {
  begin_case(concat(name_of(dtype), ", stats of 3 rows of ", width, unbiased ? ", unbiased" : ""));
  const Floats x = normals(3 * width, 1, dtype);
  const Values out(dtype, {3, width}), mean(DType::kFloat32, {3, 1}), inverse(DType::kFloat32, {3, 1});
  compute(LayerNorm{Values::of({3, width}, x, dtype), nullptr, nullptr, nullptr, 1e-3f, unbiased, out, nullptr, mean,
                    inverse});
  const auto stats = [&](auto real) {
    using Real = decltype(real);
    std::vector<std::pair<Real, Real>> rows;
    for (int64_t r = 0; r < 3; ++r) {
      Real center = 0, squares = 0;
      for (int64_t i = 0; i < width; ++i) center += x[r * width + i];
      center /= Real(width);
      for (int64_t i = 0; i < width; ++i) squares += (x[r * width + i] - center) * (x[r * width + i] - center);
      const Real deviation = unbiased ? std::sqrt(squares / Real(width - 1)) + Real(1e-3f)
                                      : std::sqrt(squares / Real(width) + Real(1e-3f));
      rows.emplace_back(center, 1 / deviation);
    }
    return rows;
  };
  const auto means = [&](auto real) {
    std::vector<decltype(real)> y;
    for (const auto& row : stats(real)) y.push_back(row.first);
    return y;
  };
  const auto inverses = [&](auto real) {
    std::vector<decltype(real)> y;
    for (const auto& row : stats(real)) y.push_back(row.second);
    return y;
  };
  const auto normalized = [&](auto real) {
    std::vector<decltype(real)> y;
    const auto rows_of = stats(real);
    for (int64_t i = 0; i < 3 * width; ++i) {
      const auto& row = rows_of[i / width];
      y.push_back((x[i] - row.first) * row.second);
    }
    return y;
  };
  HEDDLE_EXPECT_AS_GOOD(mean.floats(), means, DType::kFloat32);
  HEDDLE_EXPECT_AS_GOOD(inverse.floats(), inverses, DType::kFloat32);
  HEDDLE_EXPECT_AS_GOOD(out.floats(), normalized, dtype);
}

}  // namespace

void test_layer_norm() {
  begin_op(LayerNorm::kName);
  const auto check_as = [](DType dtype, int64_t rows, int64_t width, bool with_residual, bool affine, int64_t offset) {
    begin_case(concat(name_of(dtype), ", ", rows, " rows of ", width, with_residual ? ", residual" : "",
                      affine ? ", weight and bias" : ""));
    const Shape shape{rows, width};
    Floats x = normals(rows * width, 1);
    for (float& v : x) v += 3;
    x = rounded(x, dtype);
    const Floats residual = normals(rows * width, 2, dtype);
    const Floats weight = normals(width, 3, dtype), bias = normals(width, 4, dtype);
    const Values weight_values = Values::of({width}, weight, dtype), bias_values = Values::of({width}, bias, dtype);
    const auto run_rows = [&](int64_t first, int64_t count, int64_t at) {
      const auto part = [&](const Floats& all, int64_t from) {
        const Floats some(all.begin() + first * width, all.begin() + (first + count) * width);
        return Values::of({count, width}, some, {width, 1}, from, dtype);
      };
      const Values out(dtype, {count, width}), sum(dtype, {count, width});
      compute(LayerNorm{part(x, at), part(residual, 0).when(with_residual), weight_values.when(affine),
                        bias_values.when(affine), 1e-5f, false, out, sum.when(with_residual)});
      if (with_residual && first == 0) {
        Floats wanted;
        for (int64_t i = 0; i < count * width; ++i) wanted.push_back(x[i] + residual[i]);
        expect_same_bytes(sum.floats(), rounded(wanted, dtype), "the sum");
      }
      return out.floats();
    };
    const Floats all = run_rows(0, rows, offset);
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      for (int64_t r = 0; r < rows; ++r) {
        std::vector<Real> row;
        for (int64_t i = r * width; i < (r + 1) * width; ++i) row.push_back(x[i] + (with_residual ? residual[i] : 0));
        Real mean = 0, variance = 0;
        for (const Real v : row) mean += v;
        mean /= Real(width);
        for (const Real v : row) variance += (v - mean) * (v - mean);
        const Real deviation = std::sqrt(variance / Real(width) + Real(1e-5f));
        for (int64_t i = 0; i < width; ++i) {
          y.push_back((row[i] - mean) / deviation * Real(affine ? weight[i] : 1) + Real(affine ? bias[i] : 0));
        }
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(all, formula, dtype);
    // Alone, and where it is not aligned.
    expect_same_bytes(run_rows(rows - 1, 1, 1), Floats(all.end() - width, all.end()), "a row alone");
  };
  const auto check = [&](int64_t rows, int64_t width, bool with_residual, bool affine, int64_t offset) {
    for (const DType dtype : kFloatTypes) check_as(dtype, rows, width, with_residual, affine, offset);
  };
  for (const int64_t width : {1, 2, 5, 31, 64, 100, 127, 128, 129, 768, 1023, 1024, 2050}) {
    check(3, width, false, false, 0);
    check(2, width, true, true, 0);
  }
  for (const DType dtype : kFloatTypes) {
    for (const bool unbiased : {false, true}) {
      for (const int64_t width : {2, 33, 600}) check_layer_norm_stats(dtype, width, unbiased);
    }
  }
  // As wide as a block keeps, and wider.
  check_as(DType::kFloat32, 2, 8192, true, true, 0);
  check_as(DType::kFloat32, 2, 8193, true, true, 0);
  check_as(DType::kFloat32, 2, 9000, false, true, 0);
  check_as(DType::kFloat16, 2, 16384, true, false, 0);
  check_as(DType::kBFloat16, 2, 17000, true, true, 0);
}

void test_rms_norm() {
  begin_op(RmsNorm::kName);
  const auto check_as = [](DType dtype, int64_t rows, int64_t width, bool with_residual, bool weighted) {
    begin_case(concat(name_of(dtype), ", ", rows, " rows of ", width, with_residual ? ", residual" : "",
                      weighted ? ", weight" : ""));
    const Shape shape{rows, width};
    const Floats x = normals(rows * width, 1, dtype), residual = normals(rows * width, 2, dtype);
    const Floats weight = normals(width, 3, dtype);
    const Values weight_values = Values::of({width}, weight, dtype), out(dtype, shape), sum(dtype, shape);
    compute(RmsNorm{Values::of(shape, x, dtype), Values::of(shape, residual, dtype).when(with_residual),
                    weight_values.when(weighted), 1e-5f, 1.0f, out, sum.when(with_residual)});
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      for (int64_t r = 0; r < rows; ++r) {
        Real squares = 0;
        const auto at = [&](int64_t i) {
          return Real(x[r * width + i] + (with_residual ? residual[r * width + i] : 0));
        };
        for (int64_t i = 0; i < width; ++i) squares += at(i) * at(i);
        const Real deviation = std::sqrt(squares / Real(width) + Real(1e-5f));
        for (int64_t i = 0; i < width; ++i) y.push_back(at(i) / deviation * Real(weighted ? weight[i] + 1 : 1));
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
    const Values alone(dtype, {1, width}), alone_sum(dtype, {1, width});
    const auto last = [&](const Floats& all) {
      return Values::of({1, width}, Floats(all.end() - width, all.end()), {width, 1}, 1, dtype);
    };
    compute(RmsNorm{last(x), last(residual).when(with_residual), weight_values.when(weighted), 1e-5f, 1.0f, alone,
                    alone_sum.when(with_residual)});
    const Floats all = out.floats();
    expect_same_bytes(alone.floats(), Floats(all.end() - width, all.end()), "a row alone");
  };
  const auto check = [&](int64_t rows, int64_t width, bool with_residual, bool weighted) {
    for (const DType dtype : kFloatTypes) check_as(dtype, rows, width, with_residual, weighted);
  };
  for (const int64_t width : {1, 3, 32, 100, 128, 768, 1025, 8192, 8196}) {
    check(2, width, false, false);
    check(3, width, true, true);
  }
}

}  // namespace heddle::test
