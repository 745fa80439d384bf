#include <algorithm>

#include "simt/harness.h"
#include "simt/mask_cases.h"
#include "simt/tests.h"

namespace heddle::test {
namespace {

constexpr int64_t kBatch = 2, kHeads = 2;

void check(const MaskCase& given, int64_t queries, int64_t keys) {
  begin_case(concat(given.name, ", ", queries, " queries, ", keys, " keys"));
  MaskBuilder mask;
  given.build(mask);
  const Ints offsets{static_cast<int32_t>(keys - queries), -3};
  const Values offset_values = Values::of({kBatch}, offsets);
  const int64_t blocks = (queries + 63) / 64;
  Ints array, tiles(static_cast<size_t>(kBatch * kHeads * blocks * 4), 0);
  for (int64_t b = 0; b < kBatch; ++b) {
    for (int64_t h = 0; h < kHeads; ++h) {
      for (int64_t i = 0; i < queries; ++i) {
        for (int64_t key = 0; key < keys; ++key) array.push_back(mask.keeps({b, h, i, offsets[b] + i, key, keys}));
      }
      for (int64_t block = 0; block < blocks; ++block) {
        int32_t* const counts = &tiles[((b * kHeads + h) * blocks + block) * 4];
        const int64_t first = block * 64, last = std::min(queries, first + 64);
        for (int64_t begin = 0; begin < keys; begin += 64) {
          const int64_t end = std::min(keys, begin + 64);
          int32_t kept = 0;
          for (int64_t i = first; i < last; ++i) {
            for (int64_t key = begin; key < end; ++key) kept += mask.keeps({b, h, i, offsets[b] + i, key, keys});
          }
          ++counts[kept == 0 ? 0 : kept == (last - first) * (end - begin) ? 1 : 2];
          counts[3] += kept;
        }
      }
    }
  }
  const Values out(DType::kInt32, {kBatch, kHeads, queries, keys});
  compute(MaskToArray{mask.operand(), offset_values, out});
  expect(out.ints() == array, "another array");
  const Values counts(DType::kInt32, {kBatch, kHeads, blocks, 4});
  compute(CountMaskTiles{mask.operand(), offset_values, queries, keys, counts});
  expect(counts.ints() == tiles, "other counts of tiles");
}

}  // namespace

void test_mask() {
  begin_op(MaskToArray::kName);
  for (const MaskCase& given : kMaskCases) {
    check(given, 1, 65);
    check(given, 70, 130);
  }
}

}  // namespace heddle::test
