#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

struct Given {
  int64_t rows, k, n;
  Activation activation = Activation::kNone;
  bool extras = false;  // a bias and a residual
  int64_t offset = 0;   // of x in its memory
};

void check(DType dtype, bool float32_out, const Given& g) {
  const DType out_dtype = float32_out ? DType::kFloat32 : dtype;
  begin_case(concat(name_of(dtype), " [", g.rows, ", ", g.k, "] to ", g.n, " ", name_of(out_dtype)));
  const Floats x = normals(g.rows * g.k, 1, dtype), weight = normals(g.n * g.k, 2, dtype);
  const Floats bias = normals(g.n, 3, dtype), residual = normals(g.rows * g.n, 4, out_dtype);
  Values panels(dtype, {panel_elements_of(g.n, g.k)});
  // Laid out by column, as a checkpoint of another library may be.
  compute(PackPanels{Values::of({g.n, g.k}, weight, {1, g.n}, 0, dtype), dtype, panels});
  panels->shape = Shape{g.n, g.k};
  panels->layout = Layout::kPanels;
  const Values bias_values = Values::of({g.n}, bias, dtype);
  const auto run_rows = [&](int64_t first, int64_t count) {
    const Floats part(x.begin() + first * g.k, x.begin() + (first + count) * g.k);
    const Floats add(residual.begin() + first * g.n, residual.begin() + (first + count) * g.n);
    const Values out(out_dtype, Shape{count, g.n});
    compute(Linear{Values::of({count, g.k}, part, {g.k, 1}, g.offset, dtype), panels, bias_values.when(g.extras),
                   Values::of({count, g.n}, add, out_dtype).when(g.extras), g.activation, out, float32_out});
    return out.floats();
  };
  const Floats all = run_rows(0, g.rows);
  const auto formula = [&](auto real) {
    using Real = decltype(real);
    std::vector<Real> y;
    for (int64_t m = 0; m < g.rows; ++m) {
      for (int64_t j = 0; j < g.n; ++j) {
        Real sum = 0;
        for (int64_t i = 0; i < g.k; ++i) sum += Real(x[m * g.k + i]) * Real(weight[j * g.k + i]);
        if (g.extras) sum += bias[j];
        if (g.activation == Activation::kGelu) sum = sum / 2 * (1 + std::erf(sum * Real(0.70710678118654752)));
        if (g.activation == Activation::kSilu) sum = sum / (1 + std::exp(-sum));
        y.push_back(sum + (g.extras ? residual[m * g.n + j] : 0));
      }
    }
    return y;
  };
  HEDDLE_EXPECT_AS_GOOD(all, formula, out_dtype);
  // Where more of the device would be idle, alone, and half of them: other tiles.
  num_multiprocessors = 1000;
  expect_same_bytes(run_rows(0, g.rows), all, "on a large device");
  std::vector<std::pair<int64_t, int64_t>> parts = {{0, 1}, {g.rows - 1, 1}};
  if (g.rows > 2) parts.push_back({g.rows / 2, g.rows - g.rows / 2});
  for (const auto& [first, count] : parts) {
    expect_same_bytes(run_rows(first, count), Floats(all.begin() + first * g.n, all.begin() + (first + count) * g.n),
                      concat(count, " rows from ", first));
  }
  num_multiprocessors = 1;
}

void multiply_halves() {
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) {
    for (const bool float32_out : {false, true}) {
      check(dtype, float32_out, {1, 8, 2});
      check(dtype, float32_out, {3, 64, 64, Activation::kNone, true});
      check(dtype, float32_out, {16, 200, 70, Activation::kGelu, true});
      check(dtype, float32_out, {17, 37, 70, Activation::kSilu, true});  // no whole 16 bytes in a row of x
      check(dtype, float32_out, {40, 72, 33, Activation::kNone, true});
    }
    check(dtype, false, {5, 1, 5, Activation::kNone, true});
    check(dtype, false, {2, 304, 130, Activation::kNone, true, 1});  // not aligned
    check(dtype, false, {70, 48, 65, Activation::kNone, true});
    check(dtype, false, {150, 136, 200, Activation::kGelu, true});
  }
}

}  // namespace

void test_linear() {
  begin_op(Linear::kName);
  for (const int64_t rows : {1, 3, 16, 17, 33, 40}) {
    check(DType::kFloat32, true, {rows, 64, 64});
    check(DType::kFloat32, true, {rows, 37, 70, Activation::kGelu, true});
    check(DType::kFloat32, true, {rows, 20, 1, Activation::kSilu, true});
  }
  check(DType::kFloat32, true, {5, 1, 5, Activation::kNone, true});
  check(DType::kFloat32, true, {2, 300, 130, Activation::kNone, true, 1});  // not aligned
  check(DType::kFloat32, true, {131, 20, 65, Activation::kNone, true});
  check(DType::kFloat32, true, {130, 16, 64, Activation::kGelu, true, 1});
  multiply_halves();
}

void test_linear_hopper() {
  begin_op("linear (Hopper)");
  compute_capability = 90;
  multiply_halves();
  for (const int64_t rows : {8, 9, 33, 64, 129, 260}) check(DType::kBFloat16, false, {rows, 72, 130});
  check(DType::kFloat16, false, {300, 200, 260, Activation::kGelu, true});
  compute_capability = 80;
}

}  // namespace heddle::test
