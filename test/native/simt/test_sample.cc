#include <algorithm>
#include <cmath>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

/// As native/cpu/sample.cc has it, for plain reading; sorted where that one selects.
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

struct Settings {
  float temperature = 1;
  float top_p = 1;
  int64_t top_k = 0;
};

struct Candidate {
  float logit;
  int32_t id;
};

int32_t draw(const float* logits, int64_t count, const Settings& settings, double uniform) {
  std::vector<Candidate> kept;
  for (int64_t i = 0; i < count; ++i) kept.push_back({logits[i] / settings.temperature, static_cast<int32_t>(i)});
  std::sort(kept.begin(), kept.end(), [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id > b.id;
  });
  const double top = kept[0].logit;
  const auto weight = [&](const Candidate& c) { return std::exp(static_cast<double>(c.logit) - top); };
  if (settings.top_k > 0 && settings.top_k < count) {
    const float threshold = kept[settings.top_k - 1].logit;
    while (kept.back().logit < threshold) kept.pop_back();
  }
  double mass = 0;
  for (const Candidate& c : kept) mass += weight(c);
  if (settings.top_p < 1) {
    double before = 0;
    size_t keep = 0;
    while (keep < kept.size() && (keep == 0 || before < settings.top_p * mass)) before += weight(kept[keep++]);
    kept.resize(keep);
    std::reverse(kept.begin(), kept.end());
    mass = before;
  } else {
    std::sort(kept.begin(), kept.end(), [](const Candidate& a, const Candidate& b) { return a.id < b.id; });
  }
  double left = uniform * mass;
  for (const Candidate& c : kept) {
    left -= weight(c);
    if (left < 0) return c.id;
  }
  return kept.back().id;
}

void check(const Floats& logits, int64_t rows, const Settings& settings, const std::string& name) {
  begin_case(name);
  const int64_t count = static_cast<int64_t>(logits.size()) / rows;
  Ints keys, steps, wanted;
  for (int32_t r = 0; r < rows; ++r) {
    keys.insert(keys.end(), {17 * r + 3, -5 - r, r});
    steps.push_back(r * r);
    const double uniform = uniform_of(static_cast<uint32_t>(17 * r + 3), static_cast<uint32_t>(-5 - r),
                                      static_cast<uint32_t>(r * r), static_cast<uint32_t>(r));
    wanted.push_back(draw(&logits[r * count], count, settings, uniform));
  }
  const Values out(DType::kInt32, {rows});
  compute(Sample{Values::of({rows, count}, logits), Values::of({rows, 3}, keys), Values::of({rows}, steps),
                 settings.temperature, settings.top_p, settings.top_k, out});
  expect(out.ints() == wanted, "another token");
}

}  // namespace

void test_sample() {
  begin_op(Sample::kName);
  for (const int64_t count : {1, 2, 31, 257, 1500}) {
    const Floats logits = normals(4 * count, 1);
    for (const int64_t top_k : {0, 1, 5, 300}) {
      for (const float top_p : {1.0f, 0.9f, 0.3f, 1e-6f}) {
        check(logits, 4, {0.7f, top_p, top_k}, concat(count, " tokens, topK ", top_k, ", topP ", top_p));
      }
    }
  }
  Floats equal(500, 0.5f), ties = normals(700, 2), signs;
  for (float& x : ties) x = std::round(x);
  for (int i = 0; i < 64; ++i) signs.push_back(i % 2 ? -0.0f : 0.0f);
  const float inf = INFINITY;
  for (const Settings& s : {Settings{}, Settings{1, 0.5f, 0}, Settings{1, 1, 7}, Settings{2, 0.8f, 40}}) {
    const std::string name = concat(", topK ", s.top_k, ", topP ", s.top_p);
    check(equal, 1, s, "equal logits" + name);
    check(ties, 7, s, "ties" + name);
    check(signs, 1, s, "zeros of both signs" + name);
    check({-inf, 1, -inf, 0, 2, -inf, 0, -inf, 0}, 1, s, "some of -∞" + name);
  }
  check(normals(20000, 3), 1, {1, 0.95f, 0}, "20000 tokens");

  for (const Floats& row : {Floats{0, std::nanf(""), 1}, Floats{-inf, -inf, -inf}, Floats{0, inf, 0}}) {
    begin_case(concat("nothing to draw from: ", row[0], ", ", row[1], ", ", row[2]));
    Floats logits{1, 2, 3};
    logits.insert(logits.end(), row.begin(), row.end());
    const Values out(DType::kInt32, {2});
    const Values keys = Values::of({2, 3}, Ints(6, 1)), steps = Values::of({2}, Ints(2, 0));
    expect_failure(run(Sample{Values::of({2, 3}, logits), keys, steps, 1, 1, 0, out}), Fault::kIndex, 1, 0);
  }
}

}  // namespace heddle::test
