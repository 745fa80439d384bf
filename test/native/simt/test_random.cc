#include <cmath>

#include "core/philox.h"
#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

constexpr uint32_t kSeed[] = {12345, 0x80000001u};
constexpr uint32_t kStep = 7;

std::vector<uint32_t> words(int64_t count, PhiloxUse use) {
  std::vector<uint32_t> all;
  for (uint32_t block = 0; block < (count + 3) / 4; ++block) {
    const PhiloxWords four = philox(kSeed[0], kSeed[1], block, 0, kStep, use);
    all.insert(all.end(), four.at, four.at + 4);
  }
  return all;
}

float unit(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }

Values seed() { return Values::of({2}, Ints{static_cast<int32_t>(kSeed[0]), static_cast<int32_t>(kSeed[1])}); }
Values step() { return Values::of({1}, Ints{static_cast<int32_t>(kStep)}); }

}  // namespace

void test_random() {
  begin_op(Random::kName);
  for (const DType dtype : kFloatTypes) {
    for (const int64_t count : {0, 1, 3, 4, 1000, 1025}) {
      begin_case(concat(name_of(dtype), ", ", count, " numbers"));
      const std::vector<uint32_t> drawn = words(count, PhiloxUse::kRandom);
      const Values even(dtype, {count}), normal(dtype, {count});
      compute(Random{seed(), step(), Distribution::kUniform, -1.0f, 2.0f, even});
      Floats wanted;
      for (int64_t i = 0; i < count; ++i) wanted.push_back(-1.0f + 3.0f * unit(drawn[i]));
      expect_same_bytes(even.floats(), rounded(wanted, dtype), "even numbers");
      compute(Random{seed(), step(), Distribution::kNormal, 1.0f, 0.5f, normal});
      const auto formula = [&](auto real) {
        using Real = decltype(real);
        std::vector<Real> y;
        for (int64_t i = 0; i < count; ++i) {
          const int64_t first = i / 2 * 2;
          const Real length = std::sqrt(Real(-2) * std::log((Real(drawn[first] >> 8) + 1) * Real(0x1p-24)));
          const Real angle = Real(6.283185307179586) * unit(drawn[first + 1]);
          y.push_back(Real(1) + Real(0.5) * length * (i % 2 ? std::sin(angle) : std::cos(angle)));
        }
        return y;
      };
      HEDDLE_EXPECT_AS_GOOD(normal.floats(), formula, dtype);
    }
  }
}

void test_dropout() {
  begin_op(Dropout::kName);
  for (const DType dtype : kFloatTypes) {
    for (const double p : {0.0, 0.3, 1.0}) {
      for (const int64_t count : {1, 6, 1027}) {
        begin_case(concat(name_of(dtype), ", ", count, " elements, p ", p));
        const Floats x = normals(count, 1, dtype);
        const std::vector<uint32_t> drawn = words(count, PhiloxUse::kDropout);
        const Values out(dtype, {count});
        const Values from = Values::of({count}, x, {1}, 1, dtype), seeds = seed(), steps = step();
        const Dropout op{from, seeds, steps, p, out};
        compute(op);
        Floats wanted;
        for (int64_t i = 0; i < count; ++i) {
          wanted.push_back(drawn[i] < op.threshold() ? 0.0f : x[i] * static_cast<float>(1 / (1 - p)));
        }
        expect_same_bytes(out.floats(), rounded(wanted, dtype), "what is kept");
      }
    }
  }
}

void test_orthogonalize() {
  begin_op(Orthogonalize::kName);
  const auto check = [](int64_t matrices, int64_t rows, int64_t width, bool keep_lengths) {
    begin_case(concat(matrices, " of [", rows, ", ", width, "]", keep_lengths ? ", as long" : ""));
    const Floats x = normals(matrices * rows * width, 1);
    const Values out(DType::kFloat32, {matrices, rows, width});
    compute(Orthogonalize{Values::of({matrices, rows, width}, x), keep_lengths, 2.0f, out});
    const Floats y = out.floats();
    const auto dot = [&](const Floats& v, int64_t a, int64_t b) {
      double sum = 0;
      for (int64_t c = 0; c < width; ++c) sum += double{v[a * width + c]} * v[b * width + c];
      return sum;
    };
    for (int64_t r = 0; r < matrices * rows; ++r) {
      const double length = 2 * (keep_lengths ? std::sqrt(dot(x, r, r)) : 1.0);
      expect(std::fabs(std::sqrt(dot(y, r, r)) / length - 1) < 1e-6, concat("the length of row ", r));
      for (int64_t before = r / rows * rows; before < r; ++before) {
        const double other = std::sqrt(dot(y, before, before));
        expect(std::fabs(dot(y, r, before)) < 1e-6 * length * other, concat("rows ", before, " and ", r));
      }
    }
    for (int64_t m = 0; m < matrices; ++m) {  // the first row only changes its length
      const int64_t first = m * rows;
      const double ratio = std::sqrt(dot(y, first, first) / dot(x, first, first));
      for (int64_t c = 0; c < width; ++c) {
        expect(std::fabs(y[first * width + c] - ratio * x[first * width + c]) < 1e-5, "the first row");
      }
    }
  };
  check(1, 1, 1, false);
  check(2, 5, 7, true);
  check(3, 33, 33, false);
  check(1, 4, 600, true);
}

}  // namespace heddle::test
