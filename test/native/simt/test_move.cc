#include <algorithm>
#include <cmath>
#include <numeric>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {

void test_top_k() {
  begin_op(TopK::kName);
  const auto check = [](DType dtype, const Floats& given, int64_t width, int64_t k, bool largest, bool sorted) {
    begin_case(
        concat(name_of(dtype), ", ", k, largest ? " largest" : " smallest", " of ", width, sorted ? ", sorted" : ""));
    const int64_t rows = static_cast<int64_t>(given.size()) / width;
    const bool whole = dtype == DType::kInt32;
    const Floats x = whole ? given : rounded(given, dtype);
    Ints numbers;
    for (const float v : x) numbers.push_back(std::isfinite(v) ? static_cast<int32_t>(v) : 0);
    const Values input = whole ? Values::of({rows, width}, numbers) : Values::of({rows, width}, x, dtype);
    const Values values(dtype, {rows, k}), indices(DType::kInt32, {rows, k});
    compute(TopK{input, k, largest, sorted, values, indices});
    Ints wanted;
    for (int64_t r = 0; r < rows; ++r) {
      const auto at = [&](int32_t i) { return whole ? numbers[r * width + i] : x[r * width + i]; };
      Ints places(width);
      std::iota(places.begin(), places.end(), 0);
      std::stable_sort(places.begin(), places.end(), [&](int32_t a, int32_t b) {
        const bool a_nan = std::isnan(at(a)), b_nan = std::isnan(at(b));
        if (a_nan || b_nan) return a_nan != b_nan && a_nan == largest;
        return largest ? at(a) > at(b) : at(a) < at(b);
      });
      places.resize(k);
      if (!sorted) std::sort(places.begin(), places.end());
      wanted.insert(wanted.end(), places.begin(), places.end());
    }
    expect(indices.ints() == wanted, "other places");
    for (int64_t i = 0; i < rows * k; ++i) {
      const int64_t from = i / k * width + wanted[i];
      const bool same = whole                 ? values.ints()[i] == numbers[from]
                        : std::isnan(x[from]) ? std::isnan(values.floats()[i])
                                              : values.floats()[i] == x[from];
      if (!same) fail(concat("value ", i));
    }
  };
  const float nan = std::nanf(""), inf = INFINITY;
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBFloat16, DType::kInt32}) {
    for (const bool largest : {true, false}) {
      for (const bool sorted : {true, false}) {
        check(dtype, {5}, 1, 1, largest, sorted);
        check(dtype, {1, nan, -0.0f, 0, inf, -inf, nan, 1}, 4, 3, largest, sorted);
        Floats many = normals(3 * 700, 1);
        for (float& v : many) v *= 20;
        check(dtype, many, 700, 40, largest, sorted);
        check(dtype, many, 35, 35, largest, sorted);
        Floats equal(5000, 1.0f);  // more than are kept as candidates
        equal[4000] = 2;
        equal[100] = 0;
        check(dtype, equal, 5000, 3000, largest, sorted);
      }
    }
  }
}

void test_concat() {
  begin_op(Concat::kName);
  const auto check = [](DType dtype, const std::vector<Shape>& shapes, int axis, const Shape& out_shape) {
    begin_case(concat(name_of(dtype), ", ", shapes.size(), " along axis ", axis, " to ", out_shape));
    Concat op{{}, axis};
    const Values out(dtype, out_shape);
    op.out = out;
    std::vector<Values> parts;
    std::vector<Floats> numbers;
    for (size_t i = 0; i < shapes.size(); ++i) {
      numbers.push_back(normals(shapes[i].numel(), static_cast<uint32_t>(i + 1), dtype));
      parts.push_back(Values::of(shapes[i], numbers[i], contiguous_strides(shapes[i]), static_cast<int64_t>(i), dtype));
      op.parts[i] = parts[i];
    }
    compute(op);
    Floats wanted;
    int64_t rows = 1;
    for (int i = 0; i < axis; ++i) rows *= out_shape[i];
    for (int64_t r = 0; r < rows; ++r) {
      for (size_t i = 0; i < shapes.size(); ++i) {
        const int64_t width = op.row_elements(parts[i]);
        wanted.insert(wanted.end(), numbers[i].begin() + r * width, numbers[i].begin() + (r + 1) * width);
      }
    }
    expect_same_bytes(out.floats(), wanted, "one behind the other");
  };
  for (const DType dtype : kFloatTypes) {
    check(dtype, {{3}}, 0, {3});
    check(dtype, {{2, 3}, {1, 3}, {0, 3}}, 0, {3, 3});
    check(dtype, {{2, 3, 2}, {2, 1, 2}, {2, 200, 2}}, 1, {2, 204, 2});
    check(dtype, std::vector<Shape>(Concat::kMaxParts, Shape{2, 2}), 1, {2, 2 * Concat::kMaxParts});
  }
}

void test_scatter() {
  begin_op("scatter");
  const auto check_rows = [](DType dtype, int64_t count, int64_t width, const Ints& index) {
    begin_case(concat(name_of(dtype), ", ", index.size(), " rows into [", count, ", ", width, "]"));
    const int64_t rows = static_cast<int64_t>(index.size());
    const Floats x = normals(count * width, 1, dtype), from = normals(rows * width, 2, dtype);
    const Values out(dtype, {count, width});
    compute(ScatterRows{Values::of({count, width}, x, dtype), Values::of({rows}, index),
                        Values::of({rows, width}, from, dtype), out});
    Floats wanted = x;
    for (int64_t i = 0; i < rows; ++i) {
      if (index[i] >= 0) std::copy_n(from.begin() + i * width, width, wanted.begin() + index[i] * width);
    }
    expect_same_bytes(out.floats(), wanted, "rows");
    if (rows == 0) return;
    for (const int32_t wrong : {static_cast<int32_t>(count), -2}) {
      Ints more = index;
      more.back() = wrong;
      const auto record = run(ScatterRows{Values::of({count, width}, x, dtype), Values::of({rows}, more),
                                          Values::of({rows, width}, from, dtype), out});
      expect_failure(record, Fault::kIndex, rows - 1, wrong);
    }
  };
  for (const DType dtype : kFloatTypes) {
    check_rows(dtype, 3, 4, {2, -1, 0});
    check_rows(dtype, 4, 7, {1, 1, 3, 1});
    check_rows(dtype, 2, 600, {1});
    check_rows(dtype, 3, 3, {});
    check_rows(dtype, 2, 3, Ints(300, 1));
  }

  const auto check = [](DType dtype, const Shape& shape, int axis, int64_t length, const Ints& first, bool circular) {
    begin_case(
        concat(name_of(dtype), ", ", length, " more along axis ", axis, " of ", shape, circular ? ", circular" : ""));
    Shape updated = shape;
    updated[axis] = length;
    const Floats x = normals(shape.numel(), 1, dtype), y = normals(updated.numel(), 2, dtype);
    const Values cache = Values::of(shape, x, dtype), update = Values::of(updated, y, dtype), out(dtype, shape);
    const Values places = Values::of({shape[0]}, first.empty() ? Ints(shape[0], 0) : first);
    compute(TensorScatter{cache, update, places.when(!first.empty()), axis, circular, out});
    int64_t inner = 1;
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
    Floats wanted = x;
    for (int64_t i = 0; i < updated.numel(); ++i) {
      const int64_t line = i / (inner * length), step = i / inner % length, b = i / (updated.numel() / shape[0]);
      const int64_t place = ((first.empty() ? 0 : first[b]) + step) % shape[axis];
      wanted[(line * shape[axis] + place) * inner + i % inner] = y[i];
    }
    expect_same_bytes(out.floats(), wanted, "the cache");
    if (first.empty()) return;
    Ints wrong = first;
    wrong.back() = circular ? -1 : static_cast<int32_t>(shape[axis] - length + 1);
    const auto record = run(TensorScatter{cache, update, Values::of({shape[0]}, wrong), axis, circular, out});
    expect_failure(record, Fault::kIndex, shape[0] - 1, wrong.back());
  };
  for (const DType dtype : kFloatTypes) {
    check(dtype, {3, 4, 5}, 1, 2, {1, 0, 2}, false);
    check(dtype, {3, 4, 5}, 1, 2, {}, false);
    check(dtype, {2, 1, 4, 5}, 2, 2, {3, 9}, true);
    check(dtype, {2, 3, 40}, 2, 33, {39, 7}, true);
    check(dtype, {2, 6, 2}, 1, 6, {0, 0}, false);
  }
}

}  // namespace heddle::test
