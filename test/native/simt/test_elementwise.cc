#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

constexpr Activation kActivations[] = {Activation::kNone, Activation::kGelu, Activation::kGeluTanh, Activation::kSilu,
                                       Activation::kRelu};

template <typename Real>
Real activation(Real x, Activation kind) {
  if (kind == Activation::kGelu) return Real(0.5) * x * (1 + std::erf(x * Real(0.70710678118654752)));
  if (kind == Activation::kNone) return x;
  if (kind == Activation::kSilu) return x / (1 + std::exp(-x));
  if (kind == Activation::kRelu) return std::max(x, Real(0));
  const Real u = Real(0.79788456080286536) * (x + Real(0.044715) * x * x * x);
  return Real(0.5) * x * (1 + std::tanh(u));
}

}  // namespace

void test_copy() {
  begin_op(Copy::kName);
  const auto check = [](const Shape& shape, const Shape& strides, int64_t offset) {
    begin_case(concat(shape, " with strides ", strides));
    const Floats numbers = normals(shape.numel(), 1);
    const Values out(DType::kFloat32, shape);
    compute(Copy{Values::of(shape, numbers, strides, offset), out});
    expect_same_bytes(out.floats(), numbers, "a copy");
  };
  check({}, {}, 0);
  check({1}, {7}, 3);
  check({300}, {2}, 1);
  check({5, 7}, {1, 5}, 0);
  check({3, 4, 5}, {5, 15, 1}, 2);
  check({2, 3, 2, 2, 3, 2}, {1, 2, 6, 12, 24, 72}, 0);
  check({0, 4}, {4, 1}, 0);

  begin_case("bytes, transposed");
  const Values x(DType::kBool, {6}), out(DType::kBool, {3, 2});
  for (uint8_t i = 0; i < 6; ++i) x->data<uint8_t>()[i] = i;
  x->shape = {3, 2};
  x->strides = {1, 3};
  compute(Copy{x, out});
  const uint8_t wanted[] = {0, 3, 1, 4, 2, 5};
  expect(std::equal(wanted, wanted + 6, out->data<uint8_t>()), "other bytes");
}

void test_add() {
  begin_op(Add::kName);
  const auto check = [](const Shape& a, const Shape& b, const Shape& out_shape, int64_t offset) {
    begin_case(concat(a, " + ", b));
    const Floats x = normals(a.numel(), 1), y = normals(b.numel(), 2);
    const Values out(DType::kFloat32, out_shape);
    compute(Add{Values::of(a, x, contiguous_strides(a), offset), Values::of(b, y), out});
    Floats wanted;
    for (int64_t i = 0; i < out_shape.numel(); ++i) {
      const auto at = [&](const Shape& shape) {
        int64_t left = i, place = 0, step = 1;
        for (int axis = 1; axis <= shape.rank(); ++axis) {
          place += shape[-axis] == 1 ? 0 : left % out_shape[-axis] * step;
          left /= out_shape[-axis];
          step *= shape[-axis];
        }
        return place;
      };
      wanted.push_back(x[at(a)] + y[at(b)]);
    }
    expect_same_bytes(out.floats(), wanted, "a sum");
  };
  check({1}, {1}, {1}, 0);
  check({3, 5}, {3, 5}, {3, 5}, 0);
  check({4, 300}, {4, 300}, {4, 300}, 0);
  check({4, 300}, {4, 300}, {4, 300}, 1);  // not aligned
  check({2, 3, 5}, {5}, {2, 3, 5}, 0);
  check({2, 1, 5}, {3, 1}, {2, 3, 5}, 0);
  check({1}, {2, 3}, {2, 3}, 0);
  check({0, 3}, {3}, {0, 3}, 0);
}

void test_activate() {
  begin_op(Activate::kName);
  for (const Activation kind : kActivations) {
    for (const int64_t count : {1, 3, 4, 1000, 1025}) {
      for (const int64_t offset : {0, 1}) {
        begin_case(concat("kind ", static_cast<int>(kind), ", ", count, " elements from ", offset));
        Floats numbers = normals(count, 1);
        for (float& x : numbers) x *= 4;
        const Values out(DType::kFloat32, Shape{count});
        compute(Activate{Values::of({count}, numbers, {1}, offset), kind, out});
        const auto formula = [&](auto real) {
          std::vector<decltype(real)> y;
          for (const float x : numbers) y.push_back(activation<decltype(real)>(x, kind));
          return y;
        };
        HEDDLE_EXPECT_AS_GOOD(out.floats(), formula);
      }
    }
  }
}

void test_gated() {
  begin_op(Gated::kName);
  for (const Activation kind : kActivations) {
    for (const int64_t count : {1, 6, 1028}) {
      begin_case(concat("kind ", static_cast<int>(kind), ", ", count, " elements"));
      const Floats gate = normals(count, 1), up = normals(count, 2);
      const Values out(DType::kFloat32, {count});
      compute(Gated{Values::of({count}, gate), Values::of({count}, up, {1}, count % 2), kind, out});
      const auto formula = [&](auto real) {
        std::vector<decltype(real)> y;
        for (int64_t i = 0; i < count; ++i) y.push_back(activation<decltype(real)>(gate[i], kind) * up[i]);
        return y;
      };
      HEDDLE_EXPECT_AS_GOOD(out.floats(), formula);
    }
  }
}

void test_linear() {
  begin_op(Linear::kName);
  const auto check = [](int64_t rows, int64_t k, int64_t n, Activation kind, bool extras, int64_t offset) {
    begin_case(concat("[", rows, ", ", k, "] to ", n));
    const Floats x = normals(rows * k, 1), weight = normals(n * k, 2);
    const Floats bias = normals(n, 3), residual = normals(rows * n, 4);
    Values panels(DType::kFloat32, {static_cast<int64_t>(panel_bytes_of(n, k) / sizeof(float))});
    // Laid out by column, as a checkpoint of another library may be.
    compute(PackPanels{Values::of({n, k}, weight, {1, n}, 0), panels});
    panels->shape = Shape{n, k};
    panels->layout = Layout::kPanels;
    const Values bias_values = Values::of({n}, bias), residual_values = Values::of({rows, n}, residual);
    const auto run_rows = [&](int64_t first, int64_t count) {
      const Floats part(x.begin() + first * k, x.begin() + (first + count) * k);
      const Floats add(residual.begin() + first * n, residual.begin() + (first + count) * n);
      const Values out(DType::kFloat32, Shape{count, n});
      compute(Linear{Values::of({count, k}, part, {k, 1}, offset), panels, bias_values.when(extras),
                     Values::of({count, n}, add).when(extras), kind, out});
      return out.floats();
    };
    const Floats all = run_rows(0, rows);
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      for (int64_t m = 0; m < rows; ++m) {
        for (int64_t j = 0; j < n; ++j) {
          Real sum = 0;
          for (int64_t i = 0; i < k; ++i) sum += Real(x[m * k + i]) * Real(weight[j * k + i]);
          sum = activation<Real>(sum + (extras ? bias[j] : 0), kind);
          y.push_back(sum + (extras ? residual[m * n + j] : 0));
        }
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(all, formula);
    for (const int64_t row : {int64_t{0}, rows - 1}) {
      const Floats alone = run_rows(row, 1);
      expect_same_bytes(alone, Floats(all.begin() + row * n, all.begin() + (row + 1) * n), "a row alone");
    }
  };
  for (const int64_t rows : {1, 3, 16, 17, 33, 40}) {
    check(rows, 64, 64, Activation::kNone, false, 0);
    check(rows, 37, 70, Activation::kGelu, true, 0);
    check(rows, 20, 1, Activation::kGeluTanh, true, 0);
  }
  check(5, 1, 5, Activation::kNone, true, 0);
  check(2, 300, 130, Activation::kNone, true, 1);  // not aligned
  check(131, 20, 65, Activation::kNone, true, 0);
  check(130, 16, 64, Activation::kGelu, true, 1);
}

}  // namespace heddle::test
