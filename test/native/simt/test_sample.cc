#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

/// Philox, for plain reading.
double uniform_of(uint32_t key0, uint32_t key1, uint32_t counter0, uint32_t counter1) {
  uint32_t c[4] = {counter0, counter1, 0, 0};
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key0, static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ c[3] ^ key1, static_cast<uint32_t>(a)};
    std::copy_n(next, 4, c);
    key0 += 0x9E3779B9;
    key1 += 0xBB67AE85;
  }
  return static_cast<double>((uint64_t{c[0]} << 32 | c[1]) >> 11) * 0x1p-53;
}

/// The token at which the sum of probabilities, in the order of the ids, passes `uniform`; and its ln p.
std::pair<int32_t, double> draw(const float* scores, int64_t count, double uniform) {
  const double top = *std::max_element(scores, scores + count);
  double mass = 0;
  for (int64_t i = 0; i < count; ++i) mass += std::exp(scores[i] - top);
  double left = uniform * mass;
  int32_t token = 0;
  for (; token + 1 < count; ++token) {
    left -= std::exp(scores[token] - top);
    if (left < 0) break;
  }
  return {token, scores[token] - top - std::log(mass)};
}

void expect_near(const Floats& actual, const Floats& expected, const char* what) {
  for (size_t i = 0; i < expected.size(); ++i) {
    expect(std::abs(actual[i] - expected[i]) <= 1e-5f, concat(what, " of row ", i, ": ", actual[i]));
  }
}

void check(const Floats& scores, int64_t rows, const std::string& name) {
  begin_case(name);
  constexpr float kTau = 3, kEta = 0.25f;
  const int64_t count = static_cast<int64_t>(scores.size()) / rows;
  Ints keys, steps, tokens;
  Floats log_probs, mus, learned;
  for (int32_t r = 0; r < rows; ++r) {
    keys.insert(keys.end(), {17 * r + 3, -5 - r, r});
    steps.push_back(r * r);
    const double uniform = uniform_of(static_cast<uint32_t>(17 * r + 3), static_cast<uint32_t>(-5 - r),
                                      static_cast<uint32_t>(r * r), static_cast<uint32_t>(r));
    const auto [token, log_prob] = draw(&scores[r * count], count, uniform);
    tokens.push_back(token);
    log_probs.push_back(static_cast<float>(log_prob));
    mus.push_back(static_cast<float>(2 * r));
    learned.push_back(static_cast<float>(2 * r - kEta * (-log_prob / std::log(2.0) - kTau)));
  }
  const Values x = Values::of({rows, count}, scores), key = Values::of({rows, 3}, keys);
  const Values step = Values::of({rows}, steps), mu = Values::of({rows}, mus);
  const Values out(DType::kInt32, {rows}), told(DType::kFloat32, {rows});
  compute(Sample{x, key, step, nullptr, 0, 0, out, nullptr});
  expect(out.ints() == tokens, "another token");
  compute(Sample{x, key, step, mu, kTau, kEta, out, told});
  expect(out.ints() == tokens, "another token, with more to tell");
  expect_near(told.floats(), log_probs, "log-probability");
  expect_near(mu.floats(), learned, "mu");
}

}  // namespace

void test_sample() {
  begin_op(Sample::kName);
  for (const int64_t count : {1, 2, 31, 257, 1500}) check(normals(4 * count, 1), 4, concat(count, " tokens"));
  Floats ties = normals(700, 2), signs;
  for (float& x : ties) x = std::round(x);
  for (int i = 0; i < 64; ++i) signs.push_back(i % 2 ? -0.0f : 0.0f);
  const float inf = INFINITY;
  check(Floats(500, 0.5f), 1, "equal logits");
  check(ties, 7, "ties");
  check(signs, 1, "zeros of both signs");
  check({-inf, 1, -inf, 0, 2, -inf, 0, -inf, 0}, 1, "some of -∞");
  check(normals(20000, 3), 1, "20000 tokens");
  check(normals(40001, 4), 1, "40001 tokens: a warp's share a digit");

  for (const Floats& row : {Floats{0, std::nanf(""), 1}, Floats{-inf, -inf, -inf}, Floats{0, inf, 0}}) {
    begin_case(concat("nothing to draw from: ", row[0], ", ", row[1], ", ", row[2]));
    Floats logits{1, 2, 3};
    logits.insert(logits.end(), row.begin(), row.end());
    const Values out(DType::kInt32, {2});
    const Values keys = Values::of({2, 3}, Ints(6, 1)), steps = Values::of({2}, Ints(2, 0));
    const Values x = Values::of({2, 3}, logits);
    expect_failure(run(Sample{x, keys, steps, nullptr, 0, 0, out, nullptr}), Fault::kIndex, 1, 0);
  }
}

}  // namespace heddle::test
