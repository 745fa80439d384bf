#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

const float kNaN = std::nanf(""), kInf = INFINITY;

template <typename Real>
Real lse_of(const Floats& x, int64_t begin, int64_t width) {
  Real top = -INFINITY, sum = 0;
  for (int64_t i = begin; i < begin + width; ++i) top = std::max<Real>(top, x[i]);
  if (std::isinf(top) && top < 0) return top;
  for (int64_t i = begin; i < begin + width; ++i) sum += std::exp(x[i] - top);
  return top + std::log(sum);
}

}  // namespace

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

void test_reduce() {
  begin_op(Reduce::kName);
  const auto check_as = [](DType dtype, ReduceKind kind, const Floats& given, int64_t rows, int64_t width) {
    begin_case(concat(name_of(dtype), ", kind ", static_cast<int>(kind), ", ", rows, " rows of ", width));
    const Floats x = rounded(given, dtype);
    const auto run_rows = [&](int64_t first, int64_t count, int64_t offset) {
      const Values out(dtype, {count, 1});
      const Floats part(x.begin() + first * width, x.begin() + (first + count) * width);
      compute(Reduce{Values::of({count, width}, part, {width, 1}, offset, dtype), kind, out});
      return out.floats();
    };
    const Floats all = run_rows(0, rows, 0);
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      for (int64_t r = 0; r < rows; ++r) {
        Real sum = 0;
        for (int64_t i = r * width; i < (r + 1) * width; ++i) sum += x[i];
        y.push_back(kind == ReduceKind::kSum    ? sum
                    : kind == ReduceKind::kMean ? sum / Real(width)
                                                : lse_of<Real>(x, r * width, width));
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(all, formula, dtype);
    if (width > 0) expect_same_bytes(run_rows(rows - 1, 1, 1), Floats(all.end() - 1, all.end()), "a row alone");
  };
  for (const DType dtype : kFloatTypes) {
    for (const ReduceKind kind : {ReduceKind::kSum, ReduceKind::kMean, ReduceKind::kLogSumExp}) {
      for (const int64_t width : {1, 5, 32, 129, 1024, 4099}) check_as(dtype, kind, normals(3 * width, 1), 3, width);
      check_as(dtype, kind, {-kInf, -kInf, 1, -kInf, kNaN, kInf}, 3, 2);
      check_as(dtype, kind, {}, 2, 0);
    }
  }
}

void test_cross_entropy() {
  begin_op(CrossEntropy::kName);
  const auto check = [](DType dtype, int64_t rows, int64_t width, float smoothing, bool with_mean) {
    begin_case(concat(name_of(dtype), ", ", rows, " rows of ", width, ", smoothed by ", smoothing));
    const Floats x = normals(rows * width, 1, dtype);
    Ints labels;
    for (int64_t r = 0; r < rows; ++r) labels.push_back(r % 3 == 1 ? -100 : static_cast<int32_t>(r * 7 % width));
    const Values losses(DType::kFloat32, {rows}), mean(DType::kFloat32, {});
    const Values logits = Values::of({rows, width}, x, dtype);
    compute(CrossEntropy{logits, Values::of({rows}, labels), -100, smoothing, losses, mean.when(with_mean)});
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      for (int64_t r = 0; r < rows; ++r) {
        if (labels[r] == -100) {
          y.push_back(0);
          continue;
        }
        Real sum = 0;
        for (int64_t i = 0; i < width; ++i) sum += x[r * width + i];
        const Real lse = lse_of<Real>(x, r * width, width);
        const Real hard = lse - x[r * width + labels[r]];
        y.push_back((1 - Real(smoothing)) * hard + Real(smoothing) * (lse - sum / Real(width)));
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(losses.floats(), formula, DType::kFloat32);
    const auto mean_formula = [&](auto real) {
      using Real = decltype(real);
      Real sum = 0, kept = 0;
      for (const Real loss : formula(real)) sum += loss;
      for (const int32_t label : labels) kept += label != -100;
      return std::vector<Real>{sum / kept};
    };
    if (with_mean) HEDDLE_EXPECT_AS_GOOD(mean.floats(), mean_formula, DType::kFloat32);
    for (const int32_t wrong : {static_cast<int32_t>(width), -1}) {
      Ints more = labels;
      more.back() = wrong;
      const auto record =
          run(CrossEntropy{logits, Values::of({rows}, more), -100, smoothing, losses, mean.when(with_mean)});
      expect_failure(record, Fault::kIndex, rows - 1, wrong);
    }
  };
  for (const DType dtype : kFloatTypes) {
    check(dtype, 1, 3, 0.0f, true);
    check(dtype, 4, 33, 0.1f, false);
    check(dtype, 700, 5, 0.5f, true);
    check(dtype, 2, 4099, 0.1f, true);
  }
}

}  // namespace heddle::test
