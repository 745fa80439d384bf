#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

void rotate_as(DType dtype, int64_t tokens, int64_t heads, int64_t width, int64_t pairs, bool interleaved) {
  begin_case(concat(name_of(dtype), " [", tokens, ", ", heads, ", ", width, "], ", pairs,
                    interleaved ? " pairs together" : " pairs"));
  const Floats x = normals(tokens * heads * width, 1, dtype);
  Floats frequencies;
  Ints positions;
  for (int64_t i = 0; i < pairs; ++i) frequencies.push_back(static_cast<float>(std::pow(1e4, -2.0 * i / (2 * pairs))));
  for (int64_t n = 0; n < tokens; ++n) positions.push_back(static_cast<int32_t>(n * n * 7));
  const int64_t row = heads * width + 5;  // within a fused projection
  const Values out(dtype, {tokens, heads, width});
  compute(Rope{Values::of({tokens, heads, width}, x, {row, width, 1}, 3, dtype), Values::of({tokens}, positions),
               Values::of({pairs}, frequencies), 1.5f, interleaved, out});
  const auto formula = [&](auto real) {
    using Real = decltype(real);
    std::vector<Real> y(x.begin(), x.end());
    for (int64_t n = 0; n < tokens; ++n) {
      for (int64_t i = 0; i < pairs; ++i) {
        const Real angle = static_cast<float>(positions[n]) * frequencies[i];
        const Real c = std::cos(angle) * Real(1.5f), s = std::sin(angle) * Real(1.5f);
        for (int64_t h = 0; h < heads; ++h) {
          const int64_t at = (n * heads + h) * width + i * (interleaved ? 2 : 1),
                        other = at + (interleaved ? 1 : pairs);
          y[at] = Real(x[at]) * c - Real(x[other]) * s;
          y[other] = Real(x[other]) * c + Real(x[at]) * s;
        }
      }
    }
    return y;
  };
  HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
}

void rotate(int64_t tokens, int64_t heads, int64_t width, int64_t pairs, bool interleaved) {
  for (const DType dtype : kFloatTypes) rotate_as(dtype, tokens, heads, width, pairs, interleaved);
}

void rotate_by_table(DType dtype, int64_t batch, int64_t tokens, int64_t width, int64_t pairs, bool interleaved,
                     bool with_positions) {
  constexpr int64_t kHeads = 3, kRows = 11;
  begin_case(concat(name_of(dtype), " [", batch, ", 3, ", tokens, ", ", width, "], ", pairs, " pairs by a table",
                    interleaved ? ", together" : "", with_positions ? ", positions" : ""));
  const Shape shape{batch, kHeads, tokens, width};
  const int64_t rows = with_positions ? kRows : batch * tokens;
  const Floats x = normals(shape.numel(), 1, dtype);
  const Floats cosines = normals(rows * pairs, 2), sines = normals(rows * pairs, 3);
  Ints positions;
  for (int64_t i = 0; i < batch * tokens; ++i) positions.push_back(static_cast<int32_t>(i * i % kRows));
  // Tokens have their heads together.
  const Shape strides{tokens * kHeads * width, width, kHeads * width, 1};
  const Values out(dtype, shape), places = Values::of({batch, tokens}, positions);
  const Values input = Values::of(shape, x, strides, 2, dtype);
  const Values cosine = Values::of({rows, pairs}, cosines), sine = Values::of({rows, pairs}, sines);
  const auto op = [&](const Values& at) {
    return Rotate{input, cosine, sine, at.when(with_positions), interleaved, with_positions ? 0 : tokens, out};
  };
  compute(op(places));
  const auto formula = [&](auto real) {
    using Real = decltype(real);
    std::vector<Real> y(x.begin(), x.end());
    for (int64_t line = 0; line < batch * kHeads * tokens; ++line) {
      const int64_t at = line / (kHeads * tokens) * tokens + line % tokens;
      const int64_t row = with_positions ? positions[at] : at;
      for (int64_t i = 0; i < pairs; ++i) {
        const int64_t a = line * width + (interleaved ? 2 * i : i), b = interleaved ? a + 1 : a + pairs;
        const Real c = cosines[row * pairs + i], s = sines[row * pairs + i];
        y[a] = Real(x[a]) * c - Real(x[b]) * s;
        y[b] = Real(x[b]) * c + Real(x[a]) * s;
      }
    }
    return y;
  };
  HEDDLE_EXPECT_AS_GOOD(out.floats(), formula, dtype);
  if (!with_positions) return;
  for (const int32_t wrong : {static_cast<int32_t>(kRows), -1}) {
    Ints more = positions;
    more.back() = wrong;
    expect_failure(run(op(Values::of({batch, tokens}, more))), Fault::kIndex, batch * tokens - 1, wrong);
  }
}

void scale(const Ints& last, int64_t width) {
  begin_case(concat("frequencies of width ", width, " at ", last[0]));
  const Values out(DType::kFloat32, {width / 2});
  compute(DynamicFrequencies{Values::of({static_cast<int64_t>(last.size())}, last), 1e4, 2.0, 64, width, out});
  const double length = *std::max_element(last.begin(), last.end()) + 1.0;
  const double grown = 1e4 * std::pow(2 * length / 64 - 1, width / (width - 2.0));
  for (int64_t i = 0; i < width / 2; ++i) {
    const double wanted = std::pow(length > 64 ? grown : 1e4, -2.0 * i / width);
    expect(std::fabs(out.floats()[i] - wanted) <= wanted * 0x1p-23, concat("frequency ", i));
  }
}

}  // namespace

void test_rope() {
  begin_op(Rope::kName);
  for (const bool interleaved : {false, true}) {
    rotate(1, 1, 2, 1, interleaved);
    rotate(5, 3, 16, 8, interleaved);
    rotate(4, 2, 20, 5, interleaved);  // the rest stays
    rotate(3, 9, 130, 65, interleaved);
    rotate(0, 2, 4, 2, interleaved);
  }
  for (const DType dtype : kFloatTypes) {
    for (const bool interleaved : {false, true}) {
      for (const bool with_positions : {false, true}) {
        rotate_by_table(dtype, 1, 1, 2, 1, interleaved, with_positions);
        rotate_by_table(dtype, 2, 5, 16, 8, interleaved, with_positions);
        rotate_by_table(dtype, 2, 3, 71, 32, interleaved, with_positions);
      }
    }
  }
  scale({3, 63, 10}, 16);
  scale({64}, 16);
  scale({5, 1000}, 300);
  scale(Ints(300, 100), 8);
}

}  // namespace heddle::test
