#include "ops/scatter.h"

#include <algorithm>
#include <cstring>

#include "core/allocator.h"
#include "cpu/kernels.h"

namespace heddle::cpu::HEDDLE_ISA {
namespace {

constexpr double kNsPerByte = 0.1;

const uint8_t* bytes_of(const Tensor* dense) {
  return static_cast<const uint8_t*>(dense->storage->data) + dense->offset * size_of(dense->dtype);
}

}  // namespace

void run(const ScatterRows& op, KernelContext& context) {
  const int64_t count = op.x->shape[0], bytes = op.x->shape[1] * static_cast<int64_t>(size_of(op.x->dtype));
  const int32_t* index = op.index->data<int32_t>();
  const Scratch<int64_t> scratch(context.allocator, count);
  int64_t* const chosen = scratch.get();  // of rows, for each of x; -1: none
  std::fill(chosen, chosen + count, -1);
  for (int64_t i = 0; i < op.index->numel(); ++i) {
    if (index[i] < -1 || index[i] >= count) op.fail(i, index[i]);
    if (index[i] >= 0) chosen[index[i]] = i;
  }
  const uint8_t *x = bytes_of(op.x), *rows = bytes_of(op.rows);
  auto* out = op.out->data<uint8_t>();
  context.parallel_for(count, static_cast<double>(bytes) * kNsPerByte, [&](int64_t row) {
    std::memcpy(out + row * bytes, chosen[row] < 0 ? x + row * bytes : rows + chosen[row] * bytes, bytes);
  });
}

void run(const TensorScatter& op, KernelContext& context) {
  const TensorScatter::Sizes s = op.sizes();
  const int32_t* first = op.first ? op.first->data<int32_t>() : nullptr;
  for (int64_t b = 0; first && b < s.batch; ++b) {
    if (!op.fits(first[b], s)) op.fail(b, first[b]);
  }
  const int64_t bytes = s.inner * static_cast<int64_t>(size_of(op.cache->dtype));
  const uint8_t *cache = bytes_of(op.cache), *update = bytes_of(op.update);
  auto* out = op.out->data<uint8_t>();
  const int64_t rows = s.outer * s.length;  // of a sequence
  context.parallel_for(s.batch * rows, static_cast<double>(bytes) * kNsPerByte, [&](int64_t row) {
    const int64_t place = row % s.length, begin = first ? first[row / rows] % s.length : 0;
    const int64_t step = (place - begin + s.length) % s.length;  // of the update
    const bool updated = step < s.updated;
    const uint8_t* from = updated ? update + (row / s.length * s.updated + step) * bytes : cache + row * bytes;
    std::memcpy(out + row * bytes, from, bytes);
  });
}

}  // namespace heddle::cpu::HEDDLE_ISA
