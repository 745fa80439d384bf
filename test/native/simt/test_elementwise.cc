#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

/// Place of row-major element i of `out` in a dense tensor of `shape`, with NumPy's broadcasting.
int64_t place_of(int64_t i, const Shape& shape, const Shape& out) {
  int64_t place = 0, step = 1;
  for (int axis = 1; axis <= shape.rank(); ++axis) {
    place += shape[-axis] == 1 ? 0 : i % out[-axis] * step;
    i /= out[-axis];
    step *= shape[-axis];
  }
  return place;
}

float combine(float a, float b, BinaryKind kind) {
  switch (kind) {
    case BinaryKind::kAdd:
      return a + b;
    case BinaryKind::kSub:
      return a - b;
    case BinaryKind::kMul:
      return a * b;
    case BinaryKind::kDiv:
      return a / b;
    case BinaryKind::kMaximum:
      return std::max(a, b);
    case BinaryKind::kMinimum:
      return std::min(a, b);
  }
  return 0;
}

}  // namespace

void test_copy() {
  begin_op(Copy::kName);
  const auto check = [](const Shape& shape, const Shape& strides, int64_t offset) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      begin_case(concat(name_of(dtype), " ", shape, " with strides ", strides));
      const Floats numbers = normals(shape.numel(), 1, dtype);
      const Values out(dtype, shape);
      compute(Copy{Values::of(shape, numbers, strides, offset, dtype), out});
      expect_same_bytes(out.floats(), numbers, "a copy");
    }
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

void test_binary() {
  begin_op(Binary::kName);
  const auto check_as = [](DType dtype, BinaryKind kind, const Shape& a, const Shape& b, const Shape& out_shape,
                           int64_t offset) {
    begin_case(concat(name_of(dtype), ", kind ", static_cast<int>(kind), ", ", a, " and ", b));
    const Floats x = normals(a.numel(), 1, dtype), y = normals(b.numel(), 2, dtype);
    const Values out(dtype, out_shape);
    compute(Binary{Values::of(a, x, contiguous_strides(a), offset, dtype), Values::of(b, y, dtype), kind, out});
    Floats wanted;
    for (int64_t i = 0; i < out_shape.numel(); ++i) {
      wanted.push_back(combine(x[place_of(i, a, out_shape)], y[place_of(i, b, out_shape)], kind));
    }
    expect_same_bytes(out.floats(), rounded(wanted, dtype), "of two numbers");
  };
  const auto check = [&](const Shape& a, const Shape& b, const Shape& out_shape, int64_t offset) {
    for (const DType dtype : kFloatTypes) {
      for (int kind = 0; kind <= static_cast<int>(BinaryKind::kMinimum); ++kind) {
        check_as(dtype, static_cast<BinaryKind>(kind), a, b, out_shape, offset);
      }
    }
  };
  check({1}, {1}, {1}, 0);
  check({3, 5}, {3, 5}, {3, 5}, 0);
  check({4, 300}, {4, 300}, {4, 300}, 0);
  check({4, 300}, {4, 300}, {4, 300}, 1);  // not aligned
  check({2, 3, 5}, {5}, {2, 3, 5}, 0);
  check({2, 1, 5}, {3, 1}, {2, 3, 5}, 0);
  check({1}, {2, 3}, {2, 3}, 0);
  check({0, 3}, {3}, {0, 3}, 0);

  begin_case("NaN on either side");
  for (const BinaryKind kind : {BinaryKind::kMaximum, BinaryKind::kMinimum}) {
    const float nan = std::nanf("");
    const Values out(DType::kFloat32, {3});
    compute(Binary{Values::of({3}, Floats{nan, 1, nan}), Values::of({3}, Floats{1, nan, nan}), kind, out});
    for (const float x : out.floats()) expect(std::isnan(x), "NaN must stay");
  }
}

void test_where() {
  begin_op(Where::kName);
  const auto check = [](DType dtype, const Shape& condition, const Shape& a, const Shape& b, const Shape& out_shape) {
    begin_case(concat(name_of(dtype), ", ", condition, " of ", a, " and ", b));
    const Floats x = normals(a.numel(), 1, dtype), y = normals(b.numel(), 2, dtype);
    const Values truth(DType::kBool, condition), out(dtype, out_shape);
    for (int64_t i = 0; i < condition.numel(); ++i) truth->data<uint8_t>()[i] = i % 3 == 0;
    compute(Where{truth, Values::of(a, x, dtype), Values::of(b, y, dtype), out});
    Floats wanted;
    for (int64_t i = 0; i < out_shape.numel(); ++i) {
      const bool first = truth->data<uint8_t>()[place_of(i, condition, out_shape)];
      wanted.push_back(first ? x[place_of(i, a, out_shape)] : y[place_of(i, b, out_shape)]);
    }
    expect_same_bytes(out.floats(), wanted, "chosen");
  };
  for (const DType dtype : kFloatTypes) {
    check(dtype, {7}, {7}, {7}, {7});
    check(dtype, {3, 1}, {5}, {2, 1, 1}, {2, 3, 5});
    check(dtype, {400, 3}, {3}, {1}, {400, 3});
    check(dtype, {0, 3}, {3}, {1}, {0, 3});
  }
  begin_case("bytes");
  const Values truth(DType::kBool, {2}), a(DType::kBool, {2}), b(DType::kBool, {2}), out(DType::kBool, {2});
  for (uint8_t i = 0; i < 2; ++i) {
    truth->data<uint8_t>()[i] = i;
    a->data<uint8_t>()[i] = 1;
    b->data<uint8_t>()[i] = 0;
  }
  compute(Where{truth, a, b, out});
  expect(out->data<uint8_t>()[0] == 0 && out->data<uint8_t>()[1] == 1, "other bytes");
}

void test_cast() {
  begin_op(Cast::kName);
  const float inf = INFINITY;
  // Ties, the largest halves and what lies beyond them, denormals of halves, what int32 cannot hold.
  const Floats special = {0.0f,          -0.0f,    1.0f,     -1.5f,    2.9f,     1.00390625f, 1.01171875f,
                          1.0009765625f, 65504.0f, 65519.0f, 65520.0f, 1e-7f,    2.98e-8f,    3e38f,
                          3.4e38f,       inf,      -inf,     0x1p31f,  -0x1p31f, -0x1.1p31f,  std::nanf("")};
  for (const DType from : kFloatTypes) {
    for (const DType to : kFloatTypes) {
      for (const int64_t count : {1, 8, 21, 1000}) {
        for (const int64_t offset : {0, 1}) {
          begin_case(concat(name_of(from), " to ", name_of(to), ", ", count, " elements from ", offset));
          Floats numbers = normals(count, 1, from);
          if (count == static_cast<int64_t>(special.size())) numbers = rounded(special, from);
          const Values out(to, {count});
          compute(Cast{Values::of({count}, numbers, {1}, offset, from), out});
          const Floats wanted = rounded(numbers, to), actual = out.floats();
          for (int64_t i = 0; i < count; ++i) {
            const bool same = std::isnan(wanted[i]) ? std::isnan(actual[i]) : actual[i] == wanted[i];
            if (!same || std::signbit(actual[i]) != std::signbit(wanted[i])) fail(concat("element ", i));
          }
        }
      }
    }
    begin_case(concat(name_of(from), " to whole numbers, with strides"));
    const Shape shape{static_cast<int64_t>(special.size()), 2};
    const Floats rows = rounded(special, from);
    Floats twice;
    for (const float x : rows) twice.insert(twice.end(), {x, -x});
    const Values x = Values::of(shape, twice, {1, shape[0] + 1}, 3, from), whole(DType::kInt32, shape),
                 truth(DType::kBool, shape);
    compute(Cast{x, whole});
    compute(Cast{x, truth});
    for (int64_t i = 0; i < shape.numel(); ++i) {
      const double cut = std::isnan(twice[i]) ? 0 : std::trunc(double{twice[i]});
      const double held = std::min(std::max(cut, double{INT32_MIN}), double{INT32_MAX});
      expect(whole.ints()[i] == held, concat("whole number ", i));
      expect(truth->data<uint8_t>()[i] == (twice[i] != 0), concat("truth ", i));
    }
  }
  const Ints numbers = {0,        1,          -1,          257,       259,       16777217, 16777219,
                        33619969, 1077936129, -1077936129, INT32_MAX, INT32_MIN, -65520,   65519};
  const Shape shape{static_cast<int64_t>(numbers.size())};
  for (const DType to : kFloatTypes) {
    begin_case(concat("int32 to ", name_of(to)));
    const Values out(to, shape);
    compute(Cast{Values::of(shape, numbers), out});
    for (size_t i = 0; i < numbers.size(); ++i) {
      // No nearer value of the dtype: halfway to both neighbours the distance is at least that of the result.
      const double distance = std::fabs(double{out.floats()[i]} - numbers[i]);
      for (const double factor : {1 - 0x1p-12, 1 + 0x1p-12, 1 - 0x1p-9, 1 + 0x1p-9, 1 - 0x1p-24, 1 + 0x1p-23}) {
        const float other = rounded({static_cast<float>(numbers[i] * factor)}, to)[0];
        expect(std::isinf(out.floats()[i]) || distance <= std::fabs(double{other} - numbers[i]),
               concat(numbers[i], " is not rounded to the nearest"));
      }
    }
  }
  begin_case("bool to float16 and int32");
  const Values truth(DType::kBool, {3}), half(DType::kFloat16, {3}), whole(DType::kInt32, {3});
  for (uint8_t i = 0; i < 3; ++i) truth->data<uint8_t>()[i] = i % 2;
  compute(Cast{truth, half});
  compute(Cast{truth, whole});
  expect(half.floats() == Floats({0, 1, 0}) && whole.ints() == Ints({0, 1, 0}), "other numbers");
}

}  // namespace heddle::test
