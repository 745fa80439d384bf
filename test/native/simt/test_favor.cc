#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {

void test_favor_features() {
  begin_op(FavorFeatures::kName);
  const auto check = [](DType dtype, bool softmax, bool queries, int padding, int64_t tokens, int64_t width,
                        int64_t features) {
    begin_case(concat(name_of(dtype), softmax ? ", softmax" : ", relu", queries ? ", queries" : ", keys", ", padding ",
                      padding, ", ", tokens, " of ", width, ", ", features, " features"));
    const int64_t batch = 2, heads = 3, rows = batch * heads * tokens;
    const Floats x = normals(rows * width, 1, dtype), projection = normals(features * width, 2);
    Floats products;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t m = 0; m < features; ++m) {
        double sum = 0;
        for (int64_t d = 0; d < width; ++d) sum += double{x[r * width + d]} * projection[m * width + d];
        products.push_back(static_cast<float>(sum));
      }
    }
    const auto keeps = [&](int64_t b, int64_t t) { return padding == 0 || (padding == 1 ? t < b * 3 : t % 2 == b); };
    const Values marks(DType::kBool, {batch, tokens}), lengths = Values::of({batch}, Ints{0, 3});
    for (int64_t at = 0; at < batch * tokens; ++at) marks->data<uint8_t>()[at] = keeps(at / tokens, at % tokens);
    // Part of a fused projection [B, T, H, D + 1].
    const int64_t step = width + 1;
    const Values from =
        Values::of({batch, heads, tokens, width}, x, {tokens * heads * step, step, heads * step, 1}, 1, dtype);
    const Values all = Values::of({batch, heads, tokens, features}, products);
    const Values out(dtype, {batch, heads, tokens, features});
    FavorFeatures op{from, all};
    op.padding = padding == 1 ? lengths : marks.when(padding == 2);
    op.softmax = softmax;
    op.queries = queries;
    op.eps = 1e-3f;
    op.out = out;
    compute(op);
    const auto formula = [&](auto real) {
      using Real = decltype(real);
      std::vector<Real> y;
      const Real scale = 1 / std::sqrt(std::sqrt(Real(width)));
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t b = r / tokens / heads, head = r / tokens * tokens;
        Real squares = 0, top = -INFINITY;
        for (int64_t d = 0; d < width; ++d) squares += Real(x[r * width + d]) * x[r * width + d];
        for (int64_t other = queries ? r : head; other < (queries ? r + 1 : head + tokens); ++other) {
          for (int64_t m = 0; m < features && keeps(b, other % tokens); ++m) {
            top = std::max(top, Real(products[other * features + m]) * scale);
          }
        }
        for (int64_t m = 0; m < features; ++m) {
          const Real product = Real(products[r * features + m]) * scale;
          const Real power = std::exp(product - squares / 2 * scale * scale - top) + Real(1e-3f);
          const Real feature = softmax ? power / std::sqrt(Real(features)) : std::max(product, Real(0)) + Real(1e-3f);
          y.push_back(keeps(b, r % tokens) ? feature : Real(0));
        }
      }
      return y;
    };
    HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
  };
  for (const DType dtype : kFloatTypes) {
    for (const bool softmax : {true, false}) {
      for (const bool queries : {true, false}) {
        for (const int padding : {0, 1, 2}) {
          check(dtype, softmax, queries, padding, 7, 5, 9);
          check(dtype, softmax, queries, padding, 4, 40, 300);
        }
      }
    }
  }
}

}  // namespace heddle::test
