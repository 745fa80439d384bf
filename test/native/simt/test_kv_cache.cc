#include "simt/cache.h"
#include "simt/harness.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

struct Given {
  Ints held;
  Ints counts;
  int64_t kv_heads;
  PageShape shape;
};

int64_t pages_for(const Given& given) {
  int64_t pages = 1;
  for (size_t b = 0; b < given.held.size(); ++b) {
    pages = std::max(pages, (given.held[b] + given.counts[b] + kPageKeys - 1) / kPageKeys);
  }
  return pages;
}

void append_as(DType dtype, DType cache_dtype, const Given& given) {
  begin_case(concat(name_of(dtype), " as ", name_of(cache_dtype), ", ", sum_of(given.counts), " tokens, widths ",
                    given.shape.key_width, " and ", given.shape.value_width));
  const int64_t batch = static_cast<int64_t>(given.held.size()), tokens = sum_of(given.counts);
  const int64_t dk = given.shape.key_width, dv = given.shape.value_width, heads = given.kv_heads;
  Floats k = normals(tokens * heads * dk, 1, dtype), v = normals(tokens * heads * dv, 2, dtype);
  if (tokens > 0) {
    std::fill_n(k.end() - dk, dk, 0.0f);
    v[0] = -INFINITY;
  }
  const int64_t pages = pages_for(given);
  Cache cache(batch, heads, given.shape, pages, cache_dtype), wanted(batch, heads, given.shape, pages, cache_dtype);
  for (int64_t b = 0, n = 0; b < batch; ++b) {
    cache.lengths()->data<int32_t>()[b] = given.held[b];
    for (int64_t i = 0; i < given.counts[b]; ++i, ++n) {
      wanted.write(b, given.held[b] + i, &k[n * heads * dk], &v[n * heads * dv]);
    }
  }
  // Keys within a fused projection, values with a step of their own.
  const int64_t row = heads * dk + 3;
  const Values keys = Values::of({1, tokens, heads, dk}, k, {tokens * row, row, dk, 1}, 2, dtype);
  const Values values = Values::of({1, tokens, heads, dv}, v, {tokens * heads * dv, heads * dv, 1, heads}, 0, dtype);
  const Values offsets = offsets_of(given.counts);
  compute(AppendKV{keys, values, offsets, cache.paged()});
  expect(cache.pages().bytes() == wanted.pages().bytes(), "other pages");
  compute(AdvanceLengths{offsets, cache.lengths()});
  for (int64_t b = 0; b < batch; ++b) {
    expect(cache.lengths().ints()[b] == given.held[b] + given.counts[b], "the lengths");
  }
}

void append(const Given& given) {
  for (const DType dtype : kFloatTypes) {
    append_as(dtype, dtype, given);
    append_as(dtype, DType::kInt8, given);
  }
  append_as(DType::kFloat32, DType::kFloat16, given);
  append_as(DType::kFloat32, DType::kBFloat16, given);
}

void append_wrong() {
  const Floats numbers = normals(6, 1);
  const Values x = Values::of({1, 6, 1, 1}, numbers);
  const auto check = [&](const char* name, const Ints& offsets, const Ints& lengths, int32_t page, Fault fault,
                         int64_t index, int32_t value) {
    begin_case(name);
    Cache cache(2, 1, {1, 1}, 2);
    for (int b = 0; b < 2; ++b) cache.lengths()->data<int32_t>()[b] = lengths[b];
    cache.table()->data<int32_t>()[1] = page;
    expect_failure(run(AppendKV{x, x, Values::of({3}, offsets), cache.paged()}), fault, index, value);
  };
  check("offsets that fall", {0, 7, 6}, {0, 0}, 0, Fault::kOffsets, 2, 6);
  check("offsets from 1", {1, 2, 6}, {0, 0}, 0, Fault::kOffsets, 0, 1);
  check("offsets past the tokens", {0, 2, 9}, {0, 0}, 0, Fault::kOffsets, 2, 9);
  check("a length below 0", {0, 2, 6}, {0, -1}, 0, Fault::kLength, 1, 3);
  check("a full cache", {0, 2, 6}, {5, 125}, 0, Fault::kFull, 1, 129);
  check("a page that is not there", {0, 2, 6}, {70, 0}, 4, Fault::kPage, 0, 4);
  check("a page below 0", {0, 2, 6}, {63, 0}, -1, Fault::kPage, 0, -1);
  check("a page that is not there nor needed", {0, 2, 6}, {62, 125}, 4, Fault::kFull, 1, 129);

  begin_case("lengths that pass int32");
  const Values lengths = Values::of({3}, Ints{1, INT32_MAX, 2}), offsets = offsets_of({1, 1, 1});
  expect_failure(run(AdvanceLengths{offsets, lengths}), Fault::kIndex, 1, 1);
  expect(lengths.ints() == Ints({1, INT32_MAX, 2}), "a length changed");
}

}  // namespace

void test_kv_cache() {
  begin_op(AppendKV::kName);
  append({{0}, {1}, 1, {1, 1}});
  append({{0, 63, 64}, {3, 2, 1}, 2, {16, 16}});
  append({{5, 0, 200}, {130, 0, 7}, 3, {20, 33}});
  append({{7, 100}, {0, 1}, 2, {130, 200}});
  append({{0, 0}, {0, 0}, 2, {8, 8}});
  append_wrong();
}

}  // namespace heddle::test
