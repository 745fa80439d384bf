#include <algorithm>
#include <cmath>

#include "simt/attention_case.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

struct Result {
  Floats out, lse, weights;
  int64_t width = 0;  // of a row of weights

  void append(const Result& other) {
    out.insert(out.end(), other.out.begin(), other.out.end());
    lse.insert(lse.end(), other.lse.begin(), other.lse.end());
  }
  /// Of the first rows.
  Result first(const Result& as) const {
    return {Floats(out.begin(), out.begin() + static_cast<int64_t>(as.out.size())),
            Floats(lse.begin(), lse.begin() + static_cast<int64_t>(as.lse.size())),
            {}};
  }
};

void expect_same_bytes(const Result& a, const Result& b, const std::string& what) {
  test::expect_same_bytes(a.out, b.out, what);
  test::expect_same_bytes(a.lse, b.lse, "lse, " + what);
}

Ints keys_of(const Numbers& numbers, const std::vector<size_t>& sequences) {
  Ints keys;
  for (const size_t b : sequences) keys.push_back(static_cast<int32_t>(numbers.keys(b)));
  return keys;
}

/// Queries first … first + count - 1 of each sequence named, in one call.
Result attend(const Numbers& numbers, const std::vector<size_t>& sequences, const Ints& first, const Ints& counts) {
  const Given& g = numbers.given;
  int64_t pages = 1;
  for (const size_t b : sequences) pages = std::max(pages, (numbers.keys(b) + kPageKeys - 1) / kPageKeys);
  Cache cache(static_cast<int64_t>(sequences.size()), g.kv_heads, {g.key_width, g.value_width}, pages, g.cache_dtype());
  Floats q;
  for (size_t i = 0; i < sequences.size(); ++i) {
    const size_t b = sequences[i];
    const int32_t held = g.before[b] + (g.cross ? 0 : first[i]);
    cache.lengths()->data<int32_t>()[i] = held;
    for (int64_t j = 0; j < held + (g.cross ? 0 : counts[i]); ++j) {
      cache.write(static_cast<int64_t>(i), j, &numbers.k[b][j * g.kv_heads * g.key_width],
                  &numbers.v[b][j * g.kv_heads * g.value_width]);
    }
    const int64_t row = g.heads * g.key_width;
    q.insert(q.end(), numbers.q[b].begin() + first[i] * row, numbers.q[b].begin() + (first[i] + counts[i]) * row);
  }
  const int64_t tokens = sum_of(counts), q_row = g.heads * g.key_width + g.q_padding;
  const Values queries =
      Values::of({1, tokens, g.heads, g.key_width}, q, {tokens * q_row, q_row, g.key_width, 1}, g.q_padding, g.dtype);
  const Values out(g.dtype, {1, tokens, g.heads, g.value_width}), lse(DType::kFloat32, {1, tokens, g.heads});
  const Values cu_seqlens = offsets_of(counts);
  ScoreInputs inputs{queries, cu_seqlens, cache.paged(), g.scale, g.causal, g.softcap};
  inputs.cross = g.cross;
  if (g.mask) inputs.mask = g.mask->operand();
  Ints positions;
  for (size_t i = 0; i < sequences.size(); ++i) {
    positions.push_back(static_cast<int32_t>(g.position(sequences[i], 0, first[i], counts[i])));
  }
  const Values offsets = Values::of({static_cast<int64_t>(positions.size())}, positions);
  if (g.shift != 0) inputs.offsets = offsets;
  std::unique_ptr<BiasValues> bias;
  if (g.bias) {
    bias = std::make_unique<BiasValues>(
        *g.bias, BiasSizes{sequences, first, counts, keys_of(numbers, sequences), g.heads, g.kv_heads});
    inputs.bias = bias->operand();
  }
  Floats sinks;
  for (int64_t h = 0; h < g.heads; ++h) sinks.push_back(numbers.sink(h));
  const Values sink_values = Values::of({g.heads}, sinks);
  Attention op{inputs, g.sinks ? static_cast<const Tensor*>(sink_values) : nullptr, out, lse};
  compute(op);
  Result result{out.floats(), lse.floats(), {}};
  if (!numbers.with_weights) return result;
  const Values weights(DType::kFloat32, {tokens, g.heads, pages * kPageKeys});
  AttentionScores scores{inputs, ScoreStage::kWeights, op.sinks};
  scores.out = weights;
  compute(scores);
  result.weights = weights.floats();
  result.width = pages * kPageKeys;

  // The same summed by distance.
  constexpr int32_t kDistances = 7, kLow = 3;
  const Values sums(DType::kFloat32, {tokens, g.heads, kDistances});
  scores.low = kLow;
  scores.distances = kDistances;
  scores.out = sums;
  compute(scores);
  Floats expected(static_cast<size_t>(tokens * g.heads * kDistances), 0.0f);
  int64_t row = 0;
  for (size_t s = 0; s < counts.size(); ++s) {
    for (int64_t i = 0; i < counts[s] * g.heads; ++i, ++row) {
      const int64_t position = positions[s] + i / g.heads;
      for (int64_t j = 0; j < result.width; ++j) {
        const int64_t place = std::clamp<int64_t>(j - position + kLow, 0, kDistances - 1);
        expected[row * kDistances + place] += result.weights[row * result.width + j];
      }
    }
  }
  const Floats summed = sums.floats();
  for (size_t i = 0; i < summed.size(); ++i)
    expect(std::fabs(summed[i] - expected[i]) < 1e-5f, "other sums by distance");
  return result;
}

/// Of the formula: outputs, logarithms of the sums, weights.
template <typename Real>
struct Formula {
  std::vector<Real> out, lse, weights;
};

/// The plain one, in float32, rounds probabilities to the dtype before they meet the values.
template <typename Real>
Formula<Real> formula(const Numbers& numbers, int64_t width) {
  const Given& g = numbers.given;
  Formula<Real> result;
  for (size_t b = 0; b < g.counts.size(); ++b) {
    for (int64_t i = 0; i < g.counts[b]; ++i) {
      for (int64_t h = 0; h < g.heads; ++h) {
        const int64_t kv_head = h / (g.heads / g.kv_heads), keys = numbers.keys(b);
        const int64_t position = g.position(b, i, 0, g.counts[b]);
        const int64_t seen = g.causal ? std::clamp<int64_t>(position + 1, 0, keys) : keys;
        std::vector<Real> p;
        for (int64_t j = 0; j < seen; ++j) {
          const PlainPair pair{b, h, kv_head, i, j, position};
          Real dot = 0;
          for (int64_t d = 0; d < g.key_width; ++d) {
            dot += Real(numbers.q[b][(i * g.heads + h) * g.key_width + d]) *
                   Real(numbers.k[b][(j * g.kv_heads + kv_head) * g.key_width + d]);
          }
          if (g.bias && g.bias->scaled) dot += Real(g.bias->at(pair));
          Real score = dot * Real(g.scale);
          if (g.softcap > 0) score = Real(g.softcap) * std::tanh(score / Real(g.softcap));
          if (g.bias && !g.bias->scaled) {
            const Real added = g.bias->at(pair);
            score = added == Real(-INFINITY) ? added : score + added;  // whatever the score is
          }
          const bool kept = !g.mask || g.mask->keeps({static_cast<int64_t>(b), h, i, position, j, keys});
          p.push_back(kept ? score : Real(-INFINITY));
        }
        const Real sink = numbers.sink(h);
        const Real top = std::max(sink, p.empty() ? Real(-INFINITY) : *std::max_element(p.begin(), p.end()));
        Real sum = top == Real(-INFINITY) ? 0 : std::exp(sink - top);
        for (Real& x : p) sum += x = top == Real(-INFINITY) ? 0 : std::exp(x - top);
        result.lse.push_back(std::log(sum) + top);
        if (sum == 0) result.lse.back() = -INFINITY, sum = 1;  // nothing is seen
        for (int64_t j = 0; j < width; ++j) result.weights.push_back(j < seen ? p[j] / sum : 0);
        if (std::is_same_v<Real, float>) {
          const Floats shares = rounded(Floats(p.begin(), p.end()), g.dtype);
          std::copy(shares.begin(), shares.end(), p.begin());
        }
        for (int64_t d = 0; d < g.value_width; ++d) {
          Real y = 0;
          for (int64_t j = 0; j < seen; ++j) {
            if (p[j] == 0) continue;  // what is hidden may be NaN
            y += p[j] / sum * Real(numbers.v[b][(j * g.kv_heads + kv_head) * g.value_width + d]);
          }
          result.out.push_back(y);
        }
      }
    }
  }
  return result;
}

void expect_as_good(const Result& actual, const Numbers& numbers) {
  const Formula<double> exact = formula<double>(numbers, actual.width);
  const Formula<float> plain = formula<float>(numbers, actual.width);
  expect_as_good_as_plain(actual.out, exact.out, rounded(plain.out, numbers.given.dtype));
  expect_as_good_as_plain(actual.lse, exact.lse, plain.lse);
  if (numbers.with_weights) expect_as_good_as_plain(actual.weights, exact.weights, plain.weights);
}

/// All sequences at once, each alone, the first in chunks, and spans on blocks of their own: the same bytes, and right.
void check(const Given& given, const Ints& chunks = {}) {
  begin_case(name_of(given));
  Numbers numbers(given);
  numbers.with_weights = !given.plain();
  if (given.bias && given.bias->kind == BiasKind::kDense) numbers.spoil(BiasCase::kHiddenStep, BiasCase::kHidden);
  std::vector<size_t> all(given.counts.size());
  std::iota(all.begin(), all.end(), 0);
  const Result whole = attend(numbers, all, Ints(all.size(), 0), given.counts);
  expect_as_good(whole, numbers);

  num_multiprocessors = 1000;
  expect_same_bytes(attend(numbers, all, Ints(all.size(), 0), given.counts), whole, "spans apart");
  num_multiprocessors = 1;
  Result pieces;
  for (const size_t b : all) pieces.append(attend(numbers, {b}, {0}, {given.counts[b]}));
  expect_same_bytes(pieces, whole, "sequences alone");
  for (const int32_t size : chunks) {
    pieces = {};
    for (int32_t at = 0; at < given.counts[0]; at += size) {
      pieces.append(attend(numbers, {0}, {at}, {std::min(size, given.counts[0] - at)}));
    }
    expect_same_bytes(pieces, whole.first(pieces), concat("in chunks of ", size));
  }
}

/// Two sequences under a mask. What no query of a key head may attend to is NaN.
void check_masked(const MaskCase& masked, Given given) {
  begin_case(concat(masked.name, ", ", name_of(given)));
  MaskBuilder mask;
  masked.build(mask);
  given.mask = &mask;
  Numbers numbers(given);
  for (size_t b = 0; b < given.counts.size(); ++b) {
    for (int64_t j = 0; j < numbers.keys(b); ++j) {
      for (int64_t kv_head = 0; kv_head < given.kv_heads; ++kv_head) {
        bool seen = false;
        for (int64_t h = 0; h < given.heads; ++h) {
          for (int64_t i = 0; i < given.counts[b] && h / (given.heads / given.kv_heads) == kv_head; ++i) {
            const int64_t position = given.before[b] + i;
            seen = seen || (mask.keeps({static_cast<int64_t>(b), h, i, position, j, numbers.keys(b)}) &&
                            (!given.causal || j <= position));
          }
        }
        if (seen) continue;
        const int64_t at = j * given.kv_heads + kv_head;
        std::fill_n(&numbers.k[b][at * given.key_width], given.key_width, std::nanf(""));
        std::fill_n(&numbers.v[b][at * given.value_width], given.value_width, std::nanf(""));
      }
    }
  }
  const Result whole = attend(numbers, {0, 1}, {0, 0}, given.counts);
  expect_as_good(whole, numbers);
  num_multiprocessors = 1000;
  expect_same_bytes(attend(numbers, {0, 1}, {0, 0}, given.counts), whole, "spans apart");
  num_multiprocessors = 1;
}

void attend_wrong(DType dtype) {
  const Values q = Values::of({1, 6, 1, 1}, normals(6, 1), dtype);
  const auto check = [&](const char* name, const Ints& offsets, const Ints& lengths, int32_t page, Fault fault,
                         int64_t index, int32_t value, bool cross = false) {
    begin_case(name);
    Cache cache(2, 1, {1, 1}, 2, dtype);
    for (int b = 0; b < 2; ++b) cache.lengths()->data<int32_t>()[b] = lengths[b];
    cache.table()->data<int32_t>()[1] = page;
    const Values offset_values = Values::of({3}, offsets), out(dtype, {1, 6, 1, 1});
    Attention op{{q, offset_values, cache.paged(), 1.0f, true}, nullptr, out};
    op.scores.cross = cross;
    for (const int multiprocessors : {1, 1000}) {
      num_multiprocessors = multiprocessors;
      expect_failure(run(op), fault, index, value);
    }
    num_multiprocessors = 1;
  };
  check("offsets past the queries", {0, 9, 6}, {0, 0}, 0, Fault::kOffsets, 2, 6);
  check("offsets below 0", {0, -2, 6}, {0, 0}, 0, Fault::kOffsets, 1, -2);
  check("more keys than pages", {0, 2, 6}, {5, 125}, 0, Fault::kFull, 1, 129);
  check("fewer keys than none", {0, 2, 6}, {-3, 0}, 0, Fault::kLength, 0, -1);
  check("a page that is not there", {0, 2, 6}, {70, 0}, 4, Fault::kPage, 0, 4);
  check("a source of less than nothing", {0, 2, 6}, {3, -1}, 0, Fault::kLength, 1, -1, true);
  check("a source of more keys than pages", {0, 2, 6}, {129, 0}, 0, Fault::kFull, 0, 129, true);
}

/// The float32 kernel, by widths and places in its tiles.
void attend_floats() {
  for (const bool causal : {true, false}) {
    const auto both = [&](Given given, const Ints& chunks = {}) {
      given.causal = causal;
      check(given, causal ? chunks : Ints{});
    };
    both({{1}, {0}});
    both({{1, 1, 1}, {0, 63, 64}});
    both({{7, 0, 5}, {0, 3, 60}, 3, 3}, {1, 3});
    both({{5}, {-3}});  // with causal, three rows see nothing
    both({{20}, {-17}, 2, 1});
    both({{70}, {60}, 2, 1, 20, 20}, {1, 33});
    both({{3, 2}, {67, 0}, 6, 2, 24, 40}, {1});
    both({{1}, {89}, 12, 3});
    both({{66}, {0}, 4, 1, 8, 8}, {64});
    both({{4}, {2}, 2, 2, 40, 1});
    both({{4}, {2}, 2, 2, 1, 24});
    both({{3}, {30}, 2, 2, 33, 65, true, 0.25f, 3});
    both({{3}, {70}, 1, 1, 128, 128, true, 0.1f, 4});
    both({{2}, {65}, 1, 1, 256, 256, true, 0.05f});
  }
  for (const int64_t width : {2, 3, 5, 15, 17, 31, 63, 64, 80, 96, 127, 129, 130}) {
    check({{3}, {64}, 1, 1, width, width});
  }
  // Spans of 512 keys.
  check({{2, 1}, {510, 520}, 1, 1, 8, 8}, {1});
  check({{3}, {1100}, 2, 1, 8, 8}, {2});
  check({{40, 1}, {500, 1023}, 1, 1, 4, 4}, {7});
  check({{3}, {20}, 2, 2, 16, 16, false, 0.0f});
  check({{3}, {20}, 2, 2, 16, 16, false, -0.5f});
  check({{9}, {200}, 2, 2, 16, 16, true, 8.0f});  // scores of some hundreds
}

/// The kernel of halves: a warp of 16 rows, or tiles of 128 rows for heads up to 64, 128 and 256 wide.
void attend_halves(DType dtype) {
  const auto check_as = [&](Given given, const Ints& chunks = {}) {
    given.dtype = dtype;
    check(given, given.causal ? chunks : Ints{});
  };
  check_as({{3}, {64}, 1, 1, 40, 40}, {1});
  check_as({{2, 1}, {510, 520}, 1, 1, 8, 8}, {1});  // a span is 512 keys
  // More tiles than blocks.
  check_as({{1, 1, 1, 1, 1}, {3, 0, 1, 2, 0}, 6, 3, 8, 8});
  check_as({{17}, {2}, 8, 8, 8, 8});
  for (const bool causal : {true, false}) {
    check_as({{1}, {0}, 2, 2, 16, 16, causal});
    check_as({{1, 1, 1}, {0, 63, 64}, 2, 2, 16, 16, causal});
    check_as({{7, 0, 5}, {0, 3, 60}, 3, 3, 16, 16, causal}, {3});
    check_as({{20}, {-17}, 2, 1, 8, 24, causal});  // with causal, 16 queries see nothing
    check_as({{70}, {60}, 2, 1, 40, 40, causal}, {33});
    check_as({{3}, {30}, 2, 2, 33, 65, causal, 0.25f, 3});  // not aligned
    check_as({{1}, {89}, 12, 3, 64, 64, causal});
    check_as({{21, 140}, {0, 3}, 1, 1, 8, 8, causal});
  }
  for (const int64_t width : {1, 80, 96, 128, 129, 192, 256}) check_as({{3}, {64}, 1, 1, width, width, true, 0.1f});
  check_as({{20}, {50}, 1, 1, 128, 96, true, 0.1f, 8});
  check_as({{18}, {50}, 1, 1, 192, 128, true, 0.1f});
  check_as({{17}, {50}, 1, 1, 8, 256, true, 0.3f});
  check_as({{19}, {1100}, 2, 1, 8, 8}, {5});
  check_as({{40, 1}, {500, 1023}, 1, 1, 4, 4}, {7});
  check_as({{3}, {20}, 2, 2, 16, 16, false, 0.0f});
  check_as({{3}, {20}, 2, 2, 16, 16, false, -0.5f});
  check_as({{9}, {200}, 2, 2, 16, 16, true, 8.0f});  // scores of some hundreds
}

void attend_masked(const MaskCase& masked, DType dtype) {
  check_masked(masked, {{3, 1}, {130, 66}, 2, 2, 8, 8, false, 0.25f, 0, nullptr, dtype});
  check_masked(masked, {{90, 10}, {60, 0}, 2, 1, 8, 8, true, 0.25f, 0, nullptr, dtype});
  if (&masked != &kMaskCases[1]) return;
  // A window: whole spans are skipped.
  check_masked(masked, {{2, 1}, {600, 1100}, 2, 1, 8, 8, true, 0.25f, 0, nullptr, dtype});
  check_masked(masked, {{20, 1}, {600, 1100}, 2, 1, 8, 8, true, 0.25f, 0, nullptr, dtype});
}

/// Biases, soft caps, sinks and positions, over widths, spans and tiles.
void attend_biased(DType dtype) {
  const auto check_as = [&](Given given, const Ints& chunks = {}) {
    given.dtype = dtype;
    check(given, chunks);
  };
  for (const BiasCase& bias : kBiasCases) {
    check_as({{3, 20}, {67, 0}, 4, 2, 8, 24, bias.causal, 0.3f, 0, nullptr, dtype, &bias},
             bias.causal ? Ints{2} : Ints{});
  }
  check_as({{2, 1}, {510, 520}, 2, 1, 8, 8, true, 0.3f, 0, nullptr, dtype, &kBiasCases[0], 2.0f, true}, {1});
  check_as({{5}, {-3}, 2, 2, 8, 8, true, 0.3f, 0, nullptr, dtype, nullptr, 0.0f, true});
  check_as({{3}, {300}, 2, 1, 8, 8, true, 0.05f, 0, nullptr, dtype, nullptr, 1.0f});      // many keys beyond a distance
  check_as({{4}, {-4}, 2, 2, 8, 8, true, 0.3f, 0, nullptr, dtype, nullptr, 0.0f, true});  // no keys at all
  check_as({{70}, {60}, 2, 1, 20, 20, true, -0.3f, 0, nullptr, dtype, nullptr, 1.5f}, {33});
  check_as({{7, 5}, {70, 3}, 3, 3, 16, 16, true, 0.3f, 0, nullptr, dtype, &kBiasCases[0], 0.0f, false, 4});
  check_as({{7, 5}, {70, 3}, 3, 3, 16, 16, true, 0.3f, 0, nullptr, dtype, nullptr, 0.0f, false, -5});
  if (dtype == DType::kFloat32) return;
  check_as({{3}, {64}, 1, 1, 128, 96, true, 0.1f, 0, nullptr, dtype, &kBiasCases[1], 3.0f, true});
  check_as({{18}, {50}, 1, 1, 192, 128, true, 0.1f, 0, nullptr, dtype, &kBiasCases[1]});
}

/// Keys of a source: as many as are held, whatever the number of queries.
void attend_cross(DType dtype) {
  const auto check_as = [&](Given given, const Ints& chunks = {}) {
    given.dtype = dtype;
    given.cross = true;
    check(given, chunks);
  };
  check_as({{1, 1, 1}, {5, 64, 0}, 2, 2, 16, 16, false}, {});
  check_as({{7, 0, 5}, {3, 9, 130}, 4, 2, 8, 24, false}, {1, 3});
  check_as({{70, 2}, {1, 520}, 2, 1, 20, 20, false}, {33});
  check_as({{1}, {1100}, 2, 1, 8, 8, false});
  check_as({{6}, {4}, 2, 2, 8, 8, true});  // two queries stand before the first key
  check_as({{3, 20}, {70, 9}, 2, 2, 8, 8, false, 0.3f, 0, nullptr, dtype, &kBiasCases[0], 2.0f, true});
}

/// A cache of another dtype.
void attend_smaller(DType dtype, DType cache) {
  const auto as_smaller = [&](Given given) {
    given.dtype = dtype;
    given.cache = cache;
    return given;
  };
  check(as_smaller({{7, 0, 5}, {0, 3, 60}, 3, 3}), {1, 3});
  check(as_smaller({{1, 1}, {89, 64}, 6, 2, 24, 40}));
  check(as_smaller({{3}, {30}, 2, 2, 33, 65, true, 0.25f, 3}));  // not aligned
  check(as_smaller({{70}, {60}, 2, 1, 40, 120}), {33});
  check(as_smaller({{21, 140}, {0, 3}, 1, 1, 8, 8, false}));
  check(as_smaller({{2}, {65}, 1, 1, 256, 192, true, 0.05f}));
  check(as_smaller({{40, 1}, {500, 1023}, 1, 1, 4, 4}), {7});  // a span is 512 keys
  check(as_smaller({{9}, {20}, 2, 2, 16, 16, false, -0.5f}));
  check(as_smaller({{3, 20}, {67, 0}, 4, 2, 8, 24, true, 0.3f, 0, nullptr, dtype, &kBiasCases[0], 2.0f, true}), {2});
  check(as_smaller({{3, 20}, {70, 9}, 2, 2, 8, 8, false, 0.3f, 0, nullptr, dtype, nullptr, 0, false, 0, true}));
  for (const MaskCase* masked : {&kMaskCases[0], &kMaskCases[1]}) {
    check_masked(*masked, as_smaller({{3, 1}, {130, 66}, 2, 2, 8, 8, false}));
    check_masked(*masked, as_smaller({{90, 10}, {60, 0}, 2, 1, 8, 8}));
  }
}

}  // namespace

void test_attention() {
  begin_op(Attention::kName);
  attend_wrong(DType::kFloat32);
  attend_floats();
  for (const MaskCase& masked : kMaskCases) attend_masked(masked, DType::kFloat32);
  attend_biased(DType::kFloat32);
  attend_cross(DType::kFloat32);
  for (const DType cache : {DType::kInt8, DType::kFloat16, DType::kBFloat16}) attend_smaller(DType::kFloat32, cache);
}

static void attend_as_halves() {
  attend_wrong(DType::kFloat16);
  attend_halves(DType::kBFloat16);
  for (const MaskCase& masked : kMaskCases) attend_masked(masked, DType::kBFloat16);
  attend_halves(DType::kFloat16);
  attend_biased(DType::kBFloat16);
  attend_cross(DType::kBFloat16);
}

void test_attention_half() {
  begin_op("attention (half)");
  attend_as_halves();
  for (const DType dtype : {DType::kFloat16, DType::kBFloat16}) attend_smaller(dtype, DType::kInt8);
}

void test_attention_hopper() {
  begin_op("attention (Hopper)");
  compute_capability = 90;
  attend_as_halves();
  attend_smaller(DType::kBFloat16, DType::kInt8);
  compute_capability = 80;
}

}  // namespace heddle::test
