#include <algorithm>
#include <cmath>
#include <cstring>

#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

constexpr float kInfinity = INFINITY;

int32_t bits(float x) {
  int32_t word;
  std::memcpy(&word, &x, sizeof word);
  return word;
}

Ints piece(ProcessorKind kind, const Ints& words) {
  Ints code{static_cast<int32_t>(kind), static_cast<int32_t>(words.size())};
  code.insert(code.end(), words.begin(), words.end());
  return code;
}

// ---- Plain formulas, in float64 and by sorting

using Doubles = std::vector<double>;
using Plain = std::function<void(Doubles& x, int64_t row)>;

Doubles probabilities(const Doubles& x) {
  const double top = *std::max_element(x.begin(), x.end());
  Doubles p;
  double mass = 0;
  for (const double score : x) p.push_back(std::exp(score - top));
  for (const double weight : p) mass += weight;
  for (double& weight : p) weight /= mass;
  return p;
}

double entropy(const Doubles& p) {
  double sum = 0;
  for (const double value : p) sum -= value > 0 ? value * std::log(value) : 0;
  return sum;
}

/// Ids in rising order of a cost.
template <typename Cost>
Ints sorted_by(const Doubles& x, const Cost& cost) {
  Ints ids(x.size());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = static_cast<int32_t>(i);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) { return cost(a) < cost(b); });
  return ids;
}

template <typename Stays>
void keep(Doubles& x, const Stays& stays) {
  Doubles kept(x);
  for (size_t i = 0; i < x.size(); ++i) kept[i] = stays(static_cast<int32_t>(i)) ? x[i] : -kInfinity;
  x = kept;
}

void plain_top_p(Doubles& x, double tail, size_t least) {
  const Doubles p = probabilities(x);
  double sum = 0;
  std::vector<bool> dropped(x.size());
  const Ints ids = sorted_by(x, [&](int32_t i) { return x[i]; });
  for (size_t at = 0; at + least < ids.size() && (sum += p[ids[at]]) <= tail; ++at) dropped[ids[at]] = true;
  keep(x, [&](int32_t i) { return !dropped[i]; });
}

void plain_typical(Doubles& x, double mass) {
  const Doubles p = probabilities(x);
  const double expected = entropy(p);
  const auto off = [&](int32_t i) { return std::abs(-std::log(p[i]) - expected); };
  double sum = 0, farthest = 0;
  for (const int32_t i : sorted_by(x, off)) {
    farthest = off(i);
    if ((sum += p[i]) >= mass) break;
  }
  keep(x, [&](int32_t i) { return off(i) <= farthest; });
}

void plain_xtc(Doubles& x, double threshold) {
  const Doubles p = probabilities(x);
  int32_t least = -1;
  for (const int32_t i : sorted_by(x, [&](int32_t i) { return -x[i]; })) least = p[i] >= threshold ? i : least;
  keep(x, [&](int32_t i) { return p[i] < threshold || i == least; });
}

// ---- Cases

struct Given {
  Floats logits;  // [rows, count]
  int64_t rows;
  std::vector<Ints> histories;  // of each row
};

void check(const std::string& name, const Given& given, const Ints& code, const Plain& plain) {
  begin_case(name);
  const int64_t rows = given.rows, count = static_cast<int64_t>(given.logits.size()) / rows, room = 40;
  Ints history(rows * room, 1), lengths(rows), prompts(rows), keys(rows * 3, 4), steps(rows, 2);
  for (size_t r = 0; r < given.histories.size(); ++r) {
    std::copy(given.histories[r].begin(), given.histories[r].end(), history.begin() + static_cast<int64_t>(r) * room);
    lengths[r] = static_cast<int32_t>(given.histories[r].size());
  }
  const Values x = Values::of({rows, count}, given.logits), own = Values::of({rows, room}, history);
  const Values length = Values::of({rows}, lengths), prompt = Values::of({rows}, prompts);
  const Values key = Values::of({rows, 3}, keys), step = Values::of({rows}, steps);
  const Values mu = Values::of({rows}, Floats(rows, 3));
  const Values words = Values::of({static_cast<int64_t>(code.size())}, code), out(DType::kFloat32, {rows, count});
  ProcessLogits op{x};
  op.code = words;
  op.history = own;
  op.lengths = length;
  op.prompt_lengths = prompt;
  op.keys = key;
  op.steps = step;
  op.mu = mu;
  op.out = out;
  compute(op);
  const Floats actual = out.floats();
  for (int64_t r = 0; r < rows; ++r) {
    Doubles expected(given.logits.begin() + r * count, given.logits.begin() + (r + 1) * count);
    plain(expected, r);
    for (int64_t i = 0; i < count; ++i) {
      const double wanted = expected[i], got = actual[r * count + i];
      const bool same = wanted == got || std::abs(wanted - got) <= 1e-5 + 1e-6 * std::abs(wanted);
      expect(same, concat("row ", r, ", token ", i, " has ", got, " but must have ", wanted));
    }
  }
}

void warpers(const Given& given, const std::string& of) {
  using Kind = ProcessorKind;
  const auto one = [&](const char* name, Kind kind, const Ints& words, const Plain& plain) {
    check(name + of, given, piece(kind, words), plain);
  };
  one("log-softmax", Kind::kLogSoftmax, {}, [](Doubles& x, int64_t) {
    for (double& p : x = probabilities(x)) p = std::log(p);
  });
  one("temperature", Kind::kTemperature, {bits(0.5f)}, [](Doubles& x, int64_t) {
    for (double& score : x) score *= 2;
  });
  one("top-k", Kind::kTopK, {5}, [](Doubles& x, int64_t) {
    Doubles sorted(x);
    std::sort(sorted.rbegin(), sorted.rend());
    const double lowest = sorted[std::min<size_t>(5, x.size()) - 1];
    keep(x, [&](int32_t i) { return x[i] >= lowest; });
  });
  one("top-p", Kind::kTopP, {bits(0.25f), 1}, [](Doubles& x, int64_t) { plain_top_p(x, 0.25, 1); });
  one("top-p, three kept", Kind::kTopP, {bits(0.999f), 3}, [](Doubles& x, int64_t) { plain_top_p(x, 0.999, 3); });
  one("min-p", Kind::kMinP, {bits(0.125f), 1}, [](Doubles& x, int64_t) {
    const Doubles p = probabilities(x);
    const double lowest = 0.125 * *std::max_element(p.begin(), p.end());
    keep(x, [&](int32_t i) { return p[i] >= lowest; });
  });
  one("typical", Kind::kTypical, {bits(0.625f), 1}, [](Doubles& x, int64_t) { plain_typical(x, 0.625); });
  one("eta cutoff", Kind::kEtaCutoff, {bits(0.25f), 1}, [](Doubles& x, int64_t) {
    const Doubles p = probabilities(x);
    const double lowest = std::min(0.25, 0.5 * std::exp(-entropy(p))), top = *std::max_element(x.begin(), x.end());
    keep(x, [&](int32_t i) { return p[i] >= lowest || x[i] == top; });
  });
  one("top-n-sigma", Kind::kTopNSigma, {bits(1.5f)}, [](Doubles& x, int64_t) {
    double sum = 0, square = 0, tokens = 0;
    for (const double score : x) sum += score > -kInfinity ? score : 0, tokens += score > -kInfinity;
    for (const double score : x) square += score > -kInfinity ? std::pow(score - sum / tokens, 2) : 0;
    const double lowest = *std::max_element(x.begin(), x.end()) - 1.5 * std::sqrt(square / tokens);
    keep(x, [&](int32_t i) { return x[i] >= lowest; });
  });
  one("xtc", Kind::kXtc, {bits(1), bits(0.0625f)}, [](Doubles& x, int64_t) { plain_xtc(x, 0.0625); });
  one("mirostat", Kind::kMirostat, {}, [](Doubles& x, int64_t) {
    const Doubles p = probabilities(x);
    const int32_t best = sorted_by(x, [&](int32_t i) { return -x[i]; })[0];
    const bool some = p[best] >= 0.125;
    keep(x, [&](int32_t i) { return some ? p[i] >= 0.125 : i == best; });
  });
}

/// Of each token, how often it stands among the last n.
int64_t times(const Ints& tokens, int64_t n, int32_t token) {
  const size_t begin = n > 0 && n < static_cast<int64_t>(tokens.size()) ? tokens.size() - static_cast<size_t>(n) : 0;
  return std::count(tokens.begin() + static_cast<int64_t>(begin), tokens.end(), token);
}

void of_tokens() {
  using Kind = ProcessorKind;
  const int64_t count = 50;
  const std::vector<Ints> histories{
      {1, 2, 3, 4, 1, 2, 3, 7, 1, 2, 3}, Ints(40, 9), {}, {5}, {0, 1, -1, 99, 0, 1, -1, 99, 0}};
  const Given given{normals(5 * count, 7), 5, histories};
  const auto one = [&](const char* name, Kind kind, const Ints& words, const Plain& plain) {
    check(name, given, piece(kind, words), plain);
  };
  one("repetition penalty", Kind::kRepetitionPenalty, {bits(2), 6}, [&](Doubles& x, int64_t r) {
    for (int32_t t = 0; t < count; ++t) {
      if (times(histories[r], 6, t) > 0) x[t] = x[t] < 0 ? x[t] * 2 : x[t] / 2;
    }
  });
  const Ints frequency{bits(0.5f), bits(0.25f), 0, 0};
  one("frequency penalty", Kind::kFrequencyPenalty, frequency, [&](Doubles& x, int64_t r) {
    for (int32_t t = 0; t < count; ++t) {
      const auto n = static_cast<double>(times(histories[r], 0, t));
      x[t] -= 0.5 * n + (n > 0 ? 0.25 : 0);
    }
  });
  one("no repeated three", Kind::kNoRepeatNgram, {3}, [&](Doubles& x, int64_t r) {
    if (r == 0) x[4] = x[7] = -kInfinity;
    if (r == 1) x[9] = -kInfinity;
    if (r == 4) x[1] = -kInfinity;
  });
  const Ints dry{bits(1), bits(2), 2, 0, 8};
  one("dry", Kind::kDry, dry, [](Doubles& x, int64_t r) {
    if (r == 0) x[4] -= 2, x[7] -= 2;           // 1 2 3
    if (r == 1) x[9] -= std::pow(2.0, 39 - 2);  // all but the last
    if (r == 4) x[1] -= std::pow(2.0, 5 - 2);   // 0 1 -1 99 0
  });
  // 4: one token, and after 2 3 for those long enough; 6: banned.
  const Ints bias{2, 3, 11, 4, 2, bits(1), 0, bits(-2), 2, 2, 3, 6, 1, bits(-kInfinity), 0};
  one("bias", Kind::kBias, bias, [](Doubles& x, int64_t r) {
    x[4] += r == 0 ? -1 : 1;
    x[6] = -kInfinity;
  });
}

void wrong() {
  const Values x = Values::of({2, 3}, normals(6, 1)), code = Values::of({0}, Ints{});
  const Values out(DType::kFloat32, {2, 3}), rows = Values::of({2}, Ints{1, 2});
  begin_case("a row that is not there");
  ProcessLogits op{x};
  op.code = code;
  op.rows = rows;
  op.out = out;
  expect_failure(run(op), Fault::kIndex, 1, 2);

  begin_case("a history longer than its room");
  const Values history = Values::of({2, 2}, Ints(4, 0)), lengths = Values::of({2}, Ints{3, 1});
  op.rows = nullptr;
  op.history = history;
  op.lengths = lengths;
  expect_failure(run(op), Fault::kLength, 0, 3);
}

}  // namespace

void test_process_logits() {
  begin_op(ProcessLogits::kName);
  for (const int64_t count : {1, 40, 1300}) {
    Floats logits = normals(2 * count, 3);
    for (size_t i = 5; i < logits.size(); i += 11) logits[i] = -kInfinity;
    warpers({logits, 2, {}}, concat(", ", count, " tokens"));
  }
  Floats ties = normals(600, 5);
  for (float& x : ties) x = std::round(x);
  check("top-p of ties", {ties, 1, {}}, piece(ProcessorKind::kTopP, {bits(0.5f), 1}),
        [](Doubles& x, int64_t) { plain_top_p(x, 0.5, 1); });
  of_tokens();
  wrong();

  Ints code = piece(ProcessorKind::kTemperature, {bits(0.5f)});
  for (const Ints& more :
       {piece(ProcessorKind::kTypical, {bits(0.75f), 1}), piece(ProcessorKind::kTopP, {bits(0.25f), 1})}) {
    code.insert(code.end(), more.begin(), more.end());
  }
  check("a chain", {normals(900, 9), 1, {}}, code, [](Doubles& x, int64_t) {
    for (double& score : x) score *= 2;
    plain_typical(x, 0.75);
    plain_top_p(x, 0.25, 1);
  });
}

void test_token_report() {
  begin_op(TokenReport::kName);
  for (const int64_t count : {1, 30, 1100}) {
    for (const int64_t n : {int64_t{0}, int64_t{1}, std::min<int64_t>(count, 20)}) {
      begin_case(concat(count, " tokens, ", n, " alternatives"));
      Floats logits = normals(2 * count, 3);
      for (float& x : logits) x = std::round(4 * x) / 4;  // ties
      const Ints tokens{0, static_cast<int32_t>(count / 2)};
      const Values x = Values::of({2, count}, logits), token = Values::of({2}, tokens);
      const Values out(DType::kInt32, {2, 2 + 2 * n});
      compute(TokenReport{x, token, n, out});
      const Ints words = out.ints();
      for (int64_t r = 0; r < 2; ++r) {
        const Doubles row(logits.begin() + r * count, logits.begin() + (r + 1) * count), p = probabilities(row);
        const Ints best = sorted_by(row, [&](int32_t i) { return -row[i]; });
        const int32_t* const told = words.data() + r * (2 + 2 * n);
        const auto near = [](int32_t word, double wanted) {
          float value;
          std::memcpy(&value, &word, sizeof value);
          return std::abs(value - wanted) <= 1e-5;
        };
        expect(near(told[0], std::log(p[tokens[r]])), "another ln p");
        expect(near(told[1], entropy(p)), "another entropy");
        for (int64_t i = 0; i < n; ++i) {
          expect(told[2 + 2 * i] == best[i], concat("another token at ", i));
          expect(near(told[3 + 2 * i], std::log(p[best[i]])), concat("another ln p at ", i));
        }
      }
    }
  }
  begin_case("a token outside the vocabulary");
  const Values x = Values::of({2, 3}, normals(6, 1)), tokens = Values::of({2}, Ints{0, 3});
  const Values out(DType::kInt32, {2, 2});
  expect_failure(run(TokenReport{x, tokens, 0, out}), Fault::kIndex, 1, 3);
}

}  // namespace heddle::test
