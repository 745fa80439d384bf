#include <algorithm>
#include <cmath>
#include <cstring>
#include <random>

#include "ops/beam.h"
#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

struct Hypothesis {
  double score;
  int32_t step, row;
};

/// A problem as the reference implementation has it: lists that grow and are sorted.
struct Problem {
  Floats sums;
  std::vector<Hypothesis> held;
  bool done = false;
  Ints tokens, sources;
};

struct Settings {
  int64_t beams, vocabulary;
  Ints ends;
  EarlyStopping early_stopping = EarlyStopping::kNo;
  double length_penalty = 1;
  int64_t max_steps = 8;
};

void step(Problem& problem, const Floats& scores, const Settings& settings, int32_t at, int32_t first_row) {
  const int64_t beams = settings.beams;
  problem.tokens.assign(beams, 99);
  problem.sources.resize(beams);
  for (int64_t b = 0; b < beams; ++b) problem.sources[b] = first_row + static_cast<int32_t>(b);
  if (problem.done) {
    problem.sums.assign(beams, 0);
    return;
  }
  Ints order(scores.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int32_t>(i);
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return scores[a] > scores[b]; });
  const auto penalized = [&](float sum, int64_t length) { return sum / std::pow(length, settings.length_penalty); };
  const auto is_worse = [](const Hypothesis& a, const Hypothesis& b) { return a.score < b.score; };
  int64_t beam = 0;
  for (int64_t rank = 0; beam < beams; ++rank) {
    const int32_t entry = order[rank], token = static_cast<int32_t>(entry % settings.vocabulary);
    const int32_t row = first_row + static_cast<int32_t>(entry / settings.vocabulary);
    if (std::count(settings.ends.begin(), settings.ends.end(), token)) {
      if (rank >= beams) continue;
      problem.held.push_back({penalized(scores[entry], at + 1), at, row});
      if (static_cast<int64_t>(problem.held.size()) > beams) {
        problem.held.erase(std::min_element(problem.held.begin(), problem.held.end(), is_worse));
      }
      continue;
    }
    problem.sums[beam] = scores[entry];
    problem.tokens[beam] = token;
    problem.sources[beam++] = row;
  }
  if (static_cast<int64_t>(problem.held.size()) < beams) return;
  const double worst = std::min_element(problem.held.begin(), problem.held.end(), is_worse)->score;
  const bool never = settings.early_stopping == EarlyStopping::kNever && settings.length_penalty > 0;
  problem.done = settings.early_stopping == EarlyStopping::kYes ||
                 worst >= penalized(scores[order[0]], never ? settings.max_steps : at + 1);
}

void search(const std::string& name, const Settings& settings, int64_t problems, int64_t rows_per_problem,
            int64_t first_row) {
  begin_case(name);
  const int64_t beams = settings.beams, entries = beams * settings.vocabulary;
  const int64_t count = std::max<int64_t>(2, 1 + static_cast<int64_t>(settings.ends.size())) * beams;
  const Values sums = Values::of({problems, beams}, Floats(problems * beams, 0.0f));
  const Values hypotheses = Values::of({problems, beams, 4}, Ints(problems * beams * 4, 0));
  const Values counts = Values::of({problems}, Ints(problems, 0)), done = Values::of({problems}, Ints(problems, 0));
  const Values steps = Values::of({1}, Ints{0});
  const Ints untouched(problems * rows_per_problem, -7);
  const Values tokens = Values::of({problems * rows_per_problem}, untouched);
  const Values sources = Values::of({problems * rows_per_problem}, untouched);
  std::vector<Problem> wanted(problems);
  for (Problem& problem : wanted) problem.sums.assign(beams, 0);
  for (int32_t at = 0; at < settings.max_steps; ++at) {
    Floats scores = normals(problems * entries, at + 1);
    Ints candidates;
    for (int64_t p = 0; p < problems; ++p) {
      Floats own(scores.begin() + p * entries, scores.begin() + (p + 1) * entries);
      for (int64_t i = 0; i < entries; ++i) own[i] += wanted[p].sums[i / settings.vocabulary];
      std::copy(own.begin(), own.end(), scores.begin() + p * entries);
      Ints order(entries);
      for (int64_t i = 0; i < entries; ++i) order[i] = static_cast<int32_t>(i);
      std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return own[a] > own[b]; });
      order.resize(count);
      std::shuffle(order.begin(), order.end(), std::mt19937(at));  // the op puts them in order
      candidates.insert(candidates.end(), order.begin(), order.end());
      step(wanted[p], own, settings, at, static_cast<int32_t>(p * rows_per_problem + first_row));
    }
    compute(BeamStep{Values::of({problems, entries}, scores), Values::of({problems, count}, candidates),
                     Values::of({static_cast<int64_t>(settings.ends.size())}, settings.ends), sums, hypotheses, counts,
                     done, steps, tokens, sources, rows_per_problem, first_row, 99, settings.early_stopping,
                     settings.length_penalty, settings.max_steps});
    expect(steps.ints() == Ints{at + 1}, "the step");
    Ints wanted_tokens = untouched, wanted_sources = untouched;
    for (int64_t p = 0; p < problems; ++p) {
      const Problem& problem = wanted[p];
      std::copy_n(problem.tokens.begin(), beams, wanted_tokens.begin() + p * rows_per_problem + first_row);
      std::copy_n(problem.sources.begin(), beams, wanted_sources.begin() + p * rows_per_problem + first_row);
      const auto held = static_cast<int64_t>(problem.held.size());
      expect(counts.ints()[p] == held && (done.ints()[p] != 0) == problem.done, "how many, or whether done");
      for (int64_t i = 0; i < held; ++i) {
        const Ints numbers = hypotheses.ints();
        const int32_t* slot = numbers.data() + 4 * (p * beams + i);
        double score;
        std::memcpy(&score, slot, sizeof score);
        const auto same = [&](const Hypothesis& h) {
          return h.step == slot[2] && h.row == slot[3] && h.score == score;
        };
        expect(std::any_of(problem.held.begin(), problem.held.end(), same), "a hypothesis");
      }
      expect(std::equal(problem.sums.begin(), problem.sums.end(), sums.floats().begin() + p * beams), "the sums");
    }
    expect(tokens.ints() == wanted_tokens, "the tokens");
    expect(sources.ints() == wanted_sources, "the sources");
  }
}

void search_wrong() {
  begin_case("NaN");
  Floats scores(2 * 6, -1.0f);
  scores[6 + 2] = NAN;
  const Values sums = Values::of({2, 2}, Floats(4, 0.0f)), hypotheses = Values::of({2, 2, 4}, Ints(16, 0));
  const Values zeros = Values::of({2}, Ints{0, 0}), done = Values::of({2}, Ints{0, 0}),
               steps = Values::of({1}, Ints{0});
  const Values tokens = Values::of({4}, Ints(4, 0)), sources = Values::of({4}, Ints(4, 0));
  const Values candidates = Values::of({2, 4}, Ints{0, 1, 2, 3, 0, 1, 2, 3});
  expect_failure(run(BeamStep{Values::of({2, 6}, scores), candidates, Values::of({0}, Ints{}), sums, hypotheses, zeros,
                              done, steps, tokens, sources, 2, 0, 0, EarlyStopping::kNo, 1, 4}),
                 Fault::kIndex, 1, 0);
}

/// The noise is Gumbel's: its distribution function at the numbers drawn is uniform.
void noise() {
  begin_case("the distribution of the noise");
  const int64_t width = 4001;
  const Values out(DType::kFloat32, {2, width});
  const Floats x = normals(2 * width, 5);
  compute(GumbelNoise{Values::of({2, width}, x), Values::of({2, 3}, Ints{1, 2, 3, 1, 2, 4}), Values::of({1}, Ints{9}),
                      out});
  const Floats y = out.floats();
  std::vector<int> bins(20);
  bool differ = false;
  for (int64_t i = 0; i < 2 * width; ++i) {
    const double u = std::exp(-std::exp(-static_cast<double>(y[i] - x[i])));
    ++bins[std::min(19, static_cast<int>(u * 20))];
    differ = differ || (i < width && y[i] - x[i] != y[width + i] - x[width + i]);
  }
  double chi_square = 0;
  for (const int bin : bins) chi_square += (bin - width / 10.0) * (bin - width / 10.0) / (width / 10.0);
  expect(chi_square < 55, concat("chi-square is ", chi_square));  // p = 2e-5 of 19 degrees of freedom
  expect(differ, "two sequences have the same noise");
}

}  // namespace

void test_beam() {
  begin_op(BeamStep::kName);
  search("one beam", {1, 7, {}}, 1, 1, 0);
  search("no end tokens", {3, 5, {}}, 2, 3, 0);
  search("an end token", {4, 6, {2}}, 3, 4, 0);
  search("several end tokens", {2, 9, {0, 3, 8}, EarlyStopping::kNo, 0.6}, 3, 2, 0);
  search("at once", {3, 4, {1}, EarlyStopping::kYes, 2.0}, 2, 3, 0);
  search("never", {3, 5, {1}, EarlyStopping::kNever, 0.7, 12}, 2, 3, 0);
  search("never, short ones favoured", {2, 4, {3}, EarlyStopping::kNever, -1.0, 12}, 2, 2, 0);
  search("the second group", {2, 5, {4}}, 2, 6, 2);
  search("more problems than threads", {1, 3, {0}}, 130, 1, 0);
  search_wrong();
  begin_op(GumbelNoise::kName);
  noise();
}

}  // namespace heddle::test
