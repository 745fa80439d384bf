#include <numeric>

#include "ops/reorder.h"
#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

constexpr int32_t kKeys = kPageKeys;

/// What each row would read: the pages of its keys, and who wrote them. Rows begin with pages of their own.
void reorder(const std::string& name, int64_t group, int64_t pages, const Ints& lengths, const Ints& sources) {
  begin_case(name);
  const auto rows = static_cast<int64_t>(lengths.size());
  Ints table(rows * pages);
  std::iota(table.begin(), table.end(), 0);
  const Values block_table = Values::of({rows, pages}, table), held = Values::of({rows}, lengths);
  const Values copies(DType::kInt32, {rows, 2});
  compute(ReorderCache{Values::of({rows}, sources), group, block_table, held, copies});
  // Page contents: which page of the old table they are, after the copies.
  Ints contents(rows * pages);
  std::iota(contents.begin(), contents.end(), 0);
  const Ints now = block_table.ints(), pairs = copies.ints();
  for (int64_t r = 0; r < rows; ++r) {
    if (pairs[2 * r] >= 0) contents[pairs[2 * r + 1]] = pairs[2 * r];
    expect((pairs[2 * r] < 0) == (pairs[2 * r + 1] < 0), "half a copy");
  }
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t source = sources[r], keys = lengths[source];
    expect(held.ints()[r] == keys, "a length");
    for (int64_t page = 0; page * kKeys < keys; ++page) {
      expect(contents[now[r * pages + page]] == table[source * pages + page], "a page has not the source's keys");
    }
    // From the page begun on, nobody else has the row's pages.
    for (int64_t page = keys / kKeys; page < pages; ++page) {
      for (int64_t other = 0; other < rows; ++other) {
        for (int64_t of = 0; of < pages; ++of) {
          const bool same = other == r && of == page;
          expect(same || now[other * pages + of] != now[r * pages + page], "two rows would write one page");
        }
      }
    }
  }
}

void reorder_wrong() {
  const auto check = [](const char* name, const Ints& sources, const Ints& lengths, Fault fault, int64_t row,
                        int32_t value) {
    begin_case(name);
    const Values table = Values::of({4, 2}, Ints{0, 1, 2, 3, 4, 5, 6, 7}), held = Values::of({4}, lengths);
    const Values copies(DType::kInt32, {4, 2});
    expect_failure(run(ReorderCache{Values::of({4}, sources), 2, table, held, copies}), fault, row, value);
  };
  check("a source of another group", {0, 1, 1, 3}, {5, 5, 5, 5}, Fault::kIndex, 2, 1);
  check("a source below 0", {0, -1, 2, 3}, {5, 5, 5, 5}, Fault::kIndex, 1, -1);
  check("sources of different lengths", {0, 1, 2, 3}, {5, 6, 5, 5}, Fault::kLength, 1, 6);
  check("a row that holds more", {0, 0, 2, 2}, {5, 4, 5, 70}, Fault::kLength, 3, 70);
  check("more keys than pages", {0, 0, 2, 2}, {129, 129, 5, 5}, Fault::kLength, 0, 129);
}

void copy(DType dtype) {
  begin_case(name_of(dtype));
  const Shape shape{5, 2, PageShape{3, 20}.elements(DType::kFloat32)};
  const Floats numbers = normals(shape.numel(), 3, dtype);
  const Values pages = Values::of(shape, numbers, dtype);
  compute(CopyPages{Values::of({4, 2}, Ints{-1, -1, 0, 3, 2, 1, 0, 4}), pages});
  const int64_t page = shape[1] * shape[2];
  Floats wanted = numbers;
  std::copy_n(numbers.begin(), page, wanted.begin() + 3 * page);
  std::copy_n(numbers.begin(), page, wanted.begin() + 4 * page);
  std::copy_n(numbers.begin() + 2 * page, page, wanted.begin() + page);
  expect_same_bytes(pages.floats(), wanted, "the pages");
}

void rows() {
  begin_case("rows of tokens");
  Ints numbers(6 * 200);
  std::iota(numbers.begin(), numbers.end(), 0);
  const Values x = Values::of({6, 200}, numbers);
  const Ints sources{2, 0, 0, 3, 5, 4};
  compute(ReorderRows{Values::of({6}, sources), 3, x});
  for (int64_t i = 0; i < 6 * 200; ++i) expect(x.ints()[i] == sources[i / 200] * 200 + i % 200, "a token");
  begin_case("a row of another group");
  expect_failure(run(ReorderRows{Values::of({6}, Ints{0, 3, 1, 3, 3, 2}), 3, x}), Fault::kIndex, 1, 3);
}

void append() {
  begin_case("tokens");
  const Values history = Values::of({2, 4}, Ints{1, 2, 3, 4, 5, 6, 7, 8}), lengths = Values::of({2}, Ints{0, 3});
  compute(AppendTokens{Values::of({2}, Ints{10, 20}), history, lengths});
  expect(history.ints() == Ints({10, 2, 3, 4, 5, 6, 7, 20}), "the history");
  expect(lengths.ints() == Ints({1, 4}), "the lengths");
  begin_case("a row that is full");
  expect_failure(run(AppendTokens{Values::of({2}, Ints{10, 20}), history, lengths}), Fault::kIndex, 1, 4);
  expect(lengths.ints() == Ints({1, 4}), "a length changed");
}

}  // namespace

void test_reorder() {
  begin_op(ReorderCache::kName);
  reorder("one row", 1, 2, {70}, {0});
  reorder("beams that cross", 4, 3, {70, 70, 70, 70}, {2, 0, 0, 3});
  reorder("all from one", 4, 3, {130, 130, 130, 130}, {3, 3, 3, 3});
  reorder("rows that hold nothing yet", 3, 2, {70, 0, 0, 64, 0, 0}, {0, 0, 0, 3, 3, 3});
  reorder("full pages", 3, 2, {64, 64, 64, 128, 128, 128}, {1, 1, 0, 5, 3, 3});
  reorder("nothing held", 2, 1, {0, 0}, {1, 1});
  reorder("more rows than threads", 150, 1, Ints(150, 7), Ints(150, 149));
  reorder_wrong();
  begin_op(CopyPages::kName);
  for (const DType dtype : kFloatTypes) copy(dtype);
  begin_op(ReorderRows::kName);
  rows();
  begin_op(AppendTokens::kName);
  append();
}

}  // namespace heddle::test
