#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

bool has_positive_numbers(Activation kind) { return kind == Activation::kLog || kind == Activation::kSqrt; }

template <typename Real>
Real activation(Real x, Activation kind) {
  const auto gelu = [](Real v) { return Real(0.5) * v * (1 + std::erf(v * Real(0.70710678118654752))); };
  const auto sigmoid = [](Real v) { return 1 / (1 + std::exp(-v)); };
  const auto elu = [](Real v) { return v < 0 ? std::expm1(v) : v; };
  const Real positive = std::max(x, Real(0)), softplus = x > 20 ? x : std::log1p(std::exp(x));
  switch (kind) {
    case Activation::kNone:
      return x;
    case Activation::kGelu:
      return gelu(x);
    case Activation::kGeluTanh:
      return Real(0.5) * x * (1 + std::tanh(Real(0.79788456080286536) * (x + Real(0.044715) * x * x * x)));
    case Activation::kSilu:
      return x * sigmoid(x);
    case Activation::kRelu:
      return positive;
    case Activation::kQuickGelu:
      return x * sigmoid(Real(1.702) * x);
    case Activation::kGelu10:
      return std::min(Real(10), std::max(Real(-10), gelu(x)));
    case Activation::kRelu2:
      return positive * positive;
    case Activation::kRelu6:
      return std::min(Real(6), positive);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSigmoid:
      return sigmoid(x);
    case Activation::kMish:
      return x * std::tanh(softplus);
    case Activation::kLaplace:
      return Real(0.5) * (1 + std::erf((x - Real(0.70710678118654752)) * Real(2.5066282746310002)));
    case Activation::kLeakyRelu:
      return x < 0 ? Real(0.01) * x : x;
    case Activation::kElu:
      return elu(x);
    case Activation::kSelu:
      return Real(1.0507009873554805) * (x < 0 ? Real(1.6732632423543772) * elu(x) : x);
    case Activation::kSoftplus:
      return softplus;
    case Activation::kExp:
      return std::exp(x);
    case Activation::kLog:
      return std::log(x);
    case Activation::kSqrt:
      return std::sqrt(x);
    case Activation::kNegative:
      return -x;
    case Activation::kAbs:
      return std::fabs(x);
  }
  return x;
}

void check_alpha() {
  for (const DType dtype : kFloatTypes) {
    begin_case(concat(name_of(dtype), ", silu with an alpha"));
    const Floats numbers = normals(100, 1, dtype);
    const Values out(dtype, {100});
    compute(Activate{Values::of({100}, numbers, dtype), Activation::kSilu, -2.5f, out});
    const auto formula = [&](auto real) {
      std::vector<decltype(real)> y;
      for (const float x : numbers) y.push_back(x / (1 + std::exp(decltype(real)(2.5f) * x)));
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
  }
}
}  // namespace

void test_activate() {
  begin_op(Activate::kName);
  const auto check = [](DType dtype, Activation kind) {
    for (const int64_t count : {1, 3, 4, 1000, 1025}) {
      for (const int64_t offset : {0, 1}) {
        begin_case(concat(name_of(dtype), ", kind ", static_cast<int>(kind), ", ", count, " elements from ", offset));
        Floats numbers = normals(count, 1, dtype);
        for (float& x : numbers) x = has_positive_numbers(kind) ? std::fabs(x) + 0.25f : 2.5f * x;
        numbers = rounded(numbers, dtype);
        const Values out(dtype, Shape{count});
        compute(Activate{Values::of({count}, numbers, {1}, offset, dtype), kind, 1.0f, out});
        const auto formula = [&](auto real) {
          std::vector<decltype(real)> y;
          for (const float x : numbers) y.push_back(activation<decltype(real)>(x, kind));
          return y;
        };
        HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
      }
    }
  };
  for (const DType dtype : kFloatTypes) {
    for (int kind = 0; kind < kNumActivations; ++kind) check(dtype, static_cast<Activation>(kind));
  }
  check_alpha();
}

void test_gated() {
  begin_op(Gated::kName);
  const auto check = [](DType dtype, Activation kind) {
    for (const int64_t count : {1, 6, 1028}) {
      begin_case(concat(name_of(dtype), ", kind ", static_cast<int>(kind), ", ", count, " elements"));
      Floats gate = normals(count, 1, dtype);
      if (has_positive_numbers(kind)) {
        for (float& x : gate) x = std::fabs(x);
      }
      const Floats up = normals(count, 2, dtype);
      const Values out(dtype, {count});
      const Values up_values = Values::of({count}, up, {1}, count % 2, dtype);
      compute(Gated{Values::of({count}, gate, dtype), up_values, kind, out});
      const auto formula = [&](auto real) {
        std::vector<decltype(real)> y;
        for (int64_t i = 0; i < count; ++i) y.push_back(activation<decltype(real)>(gate[i], kind) * up[i]);
        return y;
      };
      HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
    }
  };
  for (const DType dtype : kFloatTypes) {
    for (int kind = 0; kind < kNumActivations; ++kind) check(dtype, static_cast<Activation>(kind));
  }
}

}  // namespace heddle::test
