#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {

void test_embedding() {
  begin_op(Embedding::kName);
  const auto check_as = [](DType dtype, int64_t vocabulary, int64_t width, const Ints& ids, bool packed) {
    begin_case(concat(name_of(dtype), " [", vocabulary, ", ", width, "]", packed ? " in panels" : ""));
    const Floats numbers = normals(vocabulary * width, 1, dtype);
    Values table = Values::of({vocabulary, width}, numbers, dtype);
    if (packed) {
      Values panels(dtype, {panel_elements_of(vocabulary, width)});
      compute(PackPanels{table, dtype, panels});
      panels->shape = Shape{vocabulary, width};
      panels->layout = Layout::kPanels;
      table = panels;
    }
    const int64_t count = static_cast<int64_t>(ids.size());
    const Values out(dtype, {count, width});
    compute(Embedding{table, Values::of({count}, ids), dtype, out});
    Floats wanted;
    for (const int32_t id : ids) wanted.insert(wanted.end(), &numbers[id * width], &numbers[id * width] + width);
    expect_same_bytes(out.floats(), wanted, "rows of the table");
    // Wrong ids: the first is told.
    Ints wrong = ids;
    wrong.push_back(static_cast<int32_t>(vocabulary));
    wrong.push_back(-1);
    const Values more(dtype, {count + 2, width});
    const auto record = run(Embedding{table, Values::of({count + 2}, wrong), dtype, more});
    expect_failure(record, Fault::kIndex, count, static_cast<int32_t>(vocabulary));
  };
  const auto check = [&](int64_t vocabulary, int64_t width, const Ints& ids, bool packed) {
    for (const DType dtype : kFloatTypes) check_as(dtype, vocabulary, width, ids, packed);
  };
  for (const bool packed : {false, true}) {
    check(5, 1, {4, 0, 0}, packed);
    check(70, 33, {0, 69, 63, 64}, packed);
    check(10, 512, {9}, packed);
    check(3, 7, {}, packed);
  }
}

void test_gather_rows() {
  begin_op(GatherRows::kName);
  const auto check_as = [](DType dtype, int64_t rows, int64_t width, const Ints& index) {
    begin_case(concat(name_of(dtype), " [", rows, ", ", width, "]"));
    const Floats x = normals(rows * width, 1, dtype);
    const int64_t count = static_cast<int64_t>(index.size());
    const Values out(dtype, {count, width});
    compute(GatherRows{Values::of({rows, width}, x, dtype), Values::of({count}, index), out});
    Floats wanted;
    for (const int32_t i : index) {
      for (int64_t c = 0; c < width; ++c) wanted.push_back(i < 0 ? 0.0f : x[i * width + c]);
    }
    expect_same_bytes(out.floats(), wanted, "rows of x");
    Ints wrong = index;
    wrong.push_back(-2);
    const Values more(dtype, {count + 1, width});
    const auto record = run(GatherRows{Values::of({rows, width}, x, dtype), Values::of({count + 1}, wrong), more});
    expect_failure(record, Fault::kIndex, count, -2);
  };
  const auto check = [&](int64_t rows, int64_t width, const Ints& index) {
    for (const DType dtype : kFloatTypes) check_as(dtype, rows, width, index);
  };
  check(3, 4, {2, -1, 0});
  check(5, 7, {4, 4, -1, 1});
  check(2, 600, {1, -1});
  check(4, 3, {});
}

void test_end_of_sequence() {
  begin_op(EndOfSequence::kName);
  const auto check = [](const Ints& chosen, const Ints& ends, const Ints& finished, const Ints& tokens,
                        const Ints& finished_then) {
    begin_case(concat(chosen.size(), " rows, ", ends.size(), " end tokens"));
    const Shape rows{static_cast<int64_t>(chosen.size())};
    const Values out(DType::kInt32, rows), done = Values::of(rows, finished);
    compute(
        EndOfSequence{Values::of(rows, chosen), Values::of({static_cast<int64_t>(ends.size())}, ends), 9, out, done});
    expect(out.ints() == tokens && done.ints() == finished_then, "other tokens");
  };
  check({1, 2, 3, 2}, {2, 7}, {0, 0, 1, 1}, {1, 2, 9, 9}, {0, 1, 1, 1});
  check({5}, {}, {0}, {5}, {0});
  Ints many(300, 4), none(300, 0), all(300, 1);
  check(many, {4}, none, many, all);
}

}  // namespace heddle::test
