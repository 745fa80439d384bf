#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/quantize_numbers.h"
#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

/// A weight in panels, by the host's code.
Values pack_on_host(DType dtype, const Floats& weight, int64_t n, int64_t k) {
  const size_t bytes = bytes_of(dtype, {n, k}, Layout::kPanels);
  Values panels(dtype, {static_cast<int64_t>(bytes)});
  auto* const memory = panels->data<uint8_t>();
  std::fill_n(memory, bytes, uint8_t{0});
  for (int64_t row = 0; row < n; ++row) quantize_row(dtype, weight.data() + row * k, k, row, memory);
  panels->shape = Shape{n, k};
  panels->layout = Layout::kPanels;
  return panels;
}

/// The same by the kernel of CUDA, which must give the same bytes.
Values pack(DType dtype, DType weight_dtype, const Floats& weight, int64_t n, int64_t k) {
  const Values wanted = pack_on_host(dtype, weight, n, k);
  Values panels(dtype, {static_cast<int64_t>(wanted->storage->bytes)});
  compute(PackPanels{Values::of({n, k}, weight, weight_dtype), dtype, panels});
  const auto* const memory = wanted->data<uint8_t>();
  expect(std::equal(memory, memory + wanted->storage->bytes, panels->data<uint8_t>()), "other bytes than the host's");
  return wanted;
}

/// The formula of ops/linear.h: every operation of float32 as it is written there.
Floats multiply(DType weight_dtype, const Values& panels, const Floats& x, int64_t rows, int64_t n, int64_t k) {
  const auto* const memory = panels->data<uint8_t>();
  const auto bytes = static_cast<int64_t>(panel_bytes(weight_dtype, k));
  Floats out;
  for (int64_t row = 0; row < rows; ++row) {
    const float* const at = x.data() + row * k;
    float largest = 0;
    bool is_finite = true;
    for (int64_t i = 0; i < k; ++i) {
      is_finite = is_finite && std::isfinite(at[i]);
      largest = std::max(largest, std::fabs(at[i]));
    }
    const bool counts = is_finite && largest >= 1e-30f;
    const float scale = counts ? largest / 127 : is_finite ? 0 : std::numeric_limits<float>::quiet_NaN();
    for (int64_t j = 0; j < n; ++j) {
      const uint8_t* const panel = memory + j / kPanelWidth * bytes;
      int64_t sum = 0;
      for (int64_t i = 0; counts && i < k; ++i) {
        const auto q = static_cast<int64_t>(std::nearbyint(at[i] * (127 / largest)));
        sum += q * whole_weight(weight_dtype, panel + kScaleBytes, j % kPanelWidth, i);
      }
      float of_weight;
      std::memcpy(&of_weight, panel + j % kPanelWidth * 4, sizeof of_weight);
      out.push_back(static_cast<float>(sum) * scale * of_weight);
    }
  }
  return out;
}

struct Given {
  int64_t rows, k, n;
  bool extras = false;  // a bias, an activation and a residual
  int64_t offset = 0;   // of x in its memory
};

void check(DType weight_dtype, DType dtype, bool float32_out, const Given& g) {
  const DType out_dtype = float32_out ? DType::kFloat32 : dtype;
  begin_case(concat(name_of(weight_dtype), ": ", name_of(dtype), " [", g.rows, ", ", g.k, "] to ", g.n, " ",
                    name_of(out_dtype)));
  Floats x = normals(g.rows * g.k, 1, dtype);
  if (g.rows > 2) std::fill_n(x.begin() + g.k, g.k, 0.0f);
  const Values panels = pack(weight_dtype, dtype, normals(g.n * g.k, 2, dtype), g.n, g.k);
  const Floats bias = normals(g.n, 3, dtype), residual = normals(g.rows * g.n, 4, out_dtype);
  Floats wanted = multiply(weight_dtype, panels, x, g.rows, g.n, g.k);
  if (g.extras) {
    for (size_t i = 0; i < wanted.size(); ++i) {
      const float y = wanted[i] + bias[i % g.n];
      wanted[i] = (y < 0 ? 0 : y) + residual[i];
    }
  }
  wanted = rounded(wanted, out_dtype);
  const auto run_rows = [&](int64_t first, int64_t count) {
    const Floats part(x.begin() + first * g.k, x.begin() + (first + count) * g.k);
    const Floats add(residual.begin() + first * g.n, residual.begin() + (first + count) * g.n);
    const Values out(out_dtype, Shape{count, g.n});
    compute(Linear{Values::of({count, g.k}, part, {g.k, 1}, g.offset, dtype), panels,
                   Values::of({g.n}, bias, dtype).when(g.extras),
                   Values::of({count, g.n}, add, out_dtype).when(g.extras),
                   g.extras ? Activation::kRelu : Activation::kNone, out, float32_out});
    return out.floats();
  };
  expect_same_bytes(run_rows(0, g.rows), wanted, "the formula");
  num_multiprocessors = 1000;
  expect_same_bytes(run_rows(0, g.rows), wanted, "on a large device");
  num_multiprocessors = 1;
  for (const auto& [first, count] :
       {std::pair<int64_t, int64_t>{0, 1}, {g.rows - 1, 1}, {g.rows / 2, (g.rows + 1) / 2}}) {
    expect_same_bytes(run_rows(first, count),
                      Floats(wanted.begin() + first * g.n, wanted.begin() + (first + count) * g.n),
                      concat(count, " rows from ", first));
  }
}

/// Rows of zeros, of tiny numbers and of what is not finite, and weights of such.
void check_special(DType weight_dtype) {
  begin_case(concat(name_of(weight_dtype), ": zeros, tiny and huge numbers, NaN and infinities"));
  const float nan = std::numeric_limits<float>::quiet_NaN(), infinity = std::numeric_limits<float>::infinity();
  const Floats weight = {0, 0, 0, 1, 1, 1, 1e-38f, 0, -1e-38f, 1e38f, -1e38f, 1e38f, 1, nan, 0, infinity, 0, 0};
  const Values panels = pack(weight_dtype, DType::kFloat32, weight, 6, 3);
  const Floats rows = {0, 0, 0, 1, 1, 1, 1e-31f, 0, 0, nan, 0, 1, 0, infinity, 0, 1, 0, -infinity};
  for (const int64_t count : {1, 2, 6}) {
    const Floats x(rows.end() - count * 3, rows.end());
    const Values out(DType::kFloat32, {count, 6});
    compute(Linear{Values::of({count, 3}, x), panels, nullptr, nullptr, Activation::kNone, out, true});
    const Floats actual = out.floats(), wanted = multiply(weight_dtype, panels, x, count, 6, 3);
    for (size_t i = 0; i < wanted.size(); ++i) {
      const bool same = std::isnan(wanted[i]) ? std::isnan(actual[i]) : actual[i] == wanted[i];
      expect(same, concat("element ", i, " of ", count, " rows is ", actual[i], ", not ", wanted[i]));
    }
  }
}

/// All products at their largest, of one sign: the largest sums that there are.
void check_largest(DType weight_dtype, int64_t k) {
  begin_case(concat(name_of(weight_dtype), ": sums of ", k, " largest products"));
  Floats weight(static_cast<size_t>(2 * k), -1.0f);
  std::fill_n(weight.begin(), k, 1.0f);
  const Values panels = pack_on_host(weight_dtype, weight, 2, k);
  const Floats x(static_cast<size_t>(k), 1.0f);
  const Values out(DType::kFloat32, {1, 2});
  compute(Linear{Values::of({1, k}, x), panels, nullptr, nullptr, Activation::kNone, out, true});
  expect_same_bytes(out.floats(), multiply(weight_dtype, panels, x, 1, 2, k), "the formula");
}

void check_rows_of_table(DType weight_dtype, DType dtype) {
  begin_case(concat(name_of(weight_dtype), ": rows of a table, in ", name_of(dtype)));
  constexpr int64_t kVocabulary = 70, kWidth = 45;
  const Values table = pack(weight_dtype, dtype, normals(kVocabulary * kWidth, 5, dtype), kVocabulary, kWidth);
  const Ints ids = {3, 69, 64, 0};
  const auto count = static_cast<int64_t>(ids.size());
  const Values out(dtype, {count, kWidth});
  compute(Embedding{table, Values::of({count}, ids), dtype, out});
  Floats wanted(static_cast<size_t>(count * kWidth));
  for (int64_t i = 0; i < count; ++i) {
    dequantize_row(weight_dtype, table->data<uint8_t>(), kWidth, ids[i], wanted.data() + i * kWidth);
  }
  expect_same_bytes(out.floats(), rounded(wanted, dtype), "rows of the table");
  const auto record = run(Embedding{table, Values::of({2}, Ints{1, -1}), dtype, Values(dtype, {2, kWidth})});
  expect_failure(record, Fault::kIndex, 1, -1);
}

}  // namespace

void test_quantized() {
  begin_op("quantized");
  for (const DType weight : {DType::kInt8, DType::kInt4}) {
    for (const DType dtype : kFloatTypes) {
      check(weight, dtype, false, {1, 1, 1});
      check(weight, dtype, true, {1, 64, 64, true});
      check(weight, dtype, false, {3, 100, 70, true});
      check(weight, dtype, false, {5, 33, 65, true, 1});
      check(weight, dtype, true, {16, 288, 40});
      check(weight, dtype, false, {17, 160, 70, true});
      check_rows_of_table(weight, dtype);
    }
    check(weight, DType::kBFloat16, false, {1, 3000, 96, true});  // every warp has more steps than stages
    check(weight, DType::kBFloat16, false, {9, 3000, 33});
    check(weight, DType::kFloat32, true, {2, 0, 3, true});
    check(weight, DType::kFloat16, false, {70, 96, 132, true});
    check(weight, DType::kFloat32, true, {130, 330, 200, true});
    check_special(weight);
    check_largest(weight, 65536);
    check_largest(weight, 71168);  // more than a warp's sums of int4 hold: by tiles
  }
}

}  // namespace heddle::test
