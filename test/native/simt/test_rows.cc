#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

const float kNaN = std::nanf(""), kInf = INFINITY;

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
                        bias_values.when(affine), 1e-5f, out, sum.when(with_residual)});
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

void test_softmax() {
  begin_op(Softmax::kName);
  const auto check_as = [](DType dtype, const Floats& given, int64_t width, bool log, const std::string& name) {
    begin_case(concat(name_of(dtype), log ? ", log, " : ", ", name));
    const Floats x = rounded(given, dtype);
    const int64_t rows = static_cast<int64_t>(x.size()) / width;
    const auto run_rows = [&](int64_t first, int64_t count, int64_t offset) {
      const Values out(dtype, {count, width});
      const Floats part(x.begin() + first * width, x.begin() + (first + count) * width);
      compute(Softmax{Values::of({count, width}, part, {width, 1}, offset, dtype), log, out});
      return out.floats();
    };
    const Floats all = run_rows(0, rows, 0);
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      for (int64_t r = 0; r < rows; ++r) {
        const auto begin = x.begin() + r * width, end = begin + width;
        const Real top = *std::max_element(begin, end);
        Real sum = 0;
        for (auto v = begin; v != end; ++v) sum += std::exp(*v - top);
        for (auto v = begin; v != end; ++v) {
          y.push_back(log ? (*v - top) - std::log(sum) : std::exp(*v - top) / sum);
        }
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(all, formula, dtype);
    expect_same_bytes(run_rows(rows - 1, 1, 1), Floats(all.end() - width, all.end()), "a row alone");
  };
  const auto check = [&](const Floats& x, int64_t width, bool log, const std::string& name) {
    for (const DType dtype : kFloatTypes) check_as(dtype, x, width, log, name);
  };
  for (const bool log : {false, true}) {
    for (const int64_t width : {1, 3, 31, 33, 128, 300, 1024, 4099}) {
      check(normals(3 * width, 1), width, log, concat("rows of ", width));
    }
    check({-kInf, 0, -kInf, 1, 2}, 5, log, "some of -∞");
    check({-kInf, -kInf, -kInf}, 3, log, "all of -∞");
    check({1, kNaN, 2, 0, 0, 0}, 3, log, "a row with NaN");
  }
}

void test_argmax() {
  begin_op(Argmax::kName);
  const auto check_as = [](DType dtype, const Floats& given, int64_t width, const std::string& name) {
    begin_case(concat(name_of(dtype), ", ", name));
    const Floats x = rounded(given, dtype);
    const int64_t rows = static_cast<int64_t>(x.size()) / width;
    const Values out(DType::kInt32, {rows});
    compute(Argmax{Values::of({rows, width}, x, dtype), out});
    Ints wanted;
    for (int64_t r = 0; r < rows; ++r) {
      int64_t best = 0;
      for (int64_t i = 1; i < width; ++i) {
        const float a = x[r * width + i], b = x[r * width + best];
        if (!std::isnan(b) && (std::isnan(a) || a > b)) best = i;
      }
      wanted.push_back(static_cast<int32_t>(best));
    }
    expect(out.ints() == wanted, "another index");
  };
  const auto check = [&](const Floats& x, int64_t width, const std::string& name) {
    for (const DType dtype : kFloatTypes) check_as(dtype, x, width, name);
  };
  for (const int64_t width : {1, 2, 31, 32, 33, 600, 5000}) check(normals(3 * width, 1), width, concat(width));
  check({1, 3, 2, 3}, 4, "of equals the first");
  Floats equal(700, 1.0f);
  check(equal, 700, "all equal");
  check({1, kNaN, 5, kNaN}, 4, "NaN");
  check({-kInf, -kInf, -kInf, -kInf, 0, -kInf}, 3, "of -∞");
}

}  // namespace heddle::test
