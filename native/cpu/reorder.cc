#include "ops/reorder.h"

#include <algorithm>

#include "core/allocator.h"
#include "cpu/kernels.h"
#include "ops/reorder_group.h"

namespace heddle::cpu::HEDDLE_ISA {

void run(const ReorderCache& op, KernelContext& context) {
  const int64_t rows = op.lengths->numel(), pages = op.block_table->shape[1];
  int32_t* const table = op.block_table->data<int32_t>();
  int32_t* const lengths = op.lengths->data<int32_t>();
  const Scratch<int32_t> old_table(context.allocator, rows * pages);
  std::copy_n(table, rows * pages, old_table.get());
  const auto group_at = [&](int64_t first) {
    return ReorderGroup{
        first, op.group, pages, op.sources->data<int32_t>() + first, old_table.get() + first * pages, lengths + first};
  };
  for (int64_t first = 0; first < rows; first += op.group) {
    const ReorderGroup group = group_at(first);
    for (int64_t r = 0; r < op.group; ++r) {
      if (group.is_source_wrong(r)) op.fail(Fault::kIndex, first + r, group.sources[r]);
    }
    for (int64_t r = 0; r < op.group; ++r) {
      if (group.is_length_wrong(r)) op.fail(Fault::kLength, first + r, group.lengths[r]);
    }
  }
  for (int64_t first = 0; first < rows; first += op.group) {
    const ReorderGroup group = group_at(first);
    const int64_t full = group.keys() / kPageKeys;
    for (int64_t r = 0; r < op.group; ++r) {
      std::copy_n(group.old_table + group.source(r) * pages, full, table + (first + r) * pages);
    }
    group.deal_pages(table + first * pages, op.copies->data<int32_t>() + 2 * first);
    std::fill_n(lengths + first, op.group, static_cast<int32_t>(group.keys()));
  }
}

void run(const CopyPages& op, KernelContext& context) {
  const int32_t* const copies = op.copies->data<int32_t>();
  const int64_t bytes = op.pages->shape[1] * op.pages->shape[2] * static_cast<int64_t>(size_of(op.pages->dtype));
  auto* const pages = static_cast<char*>(op.pages->storage->data) + op.pages->offset * size_of(op.pages->dtype);
  context.parallel_for(op.copies->shape[0], static_cast<double>(bytes) * 0.1, [&](int64_t r) {
    if (copies[2 * r] < 0) return;
    std::copy_n(pages + copies[2 * r] * bytes, bytes, pages + copies[2 * r + 1] * bytes);
  });
}

void run(const ReorderRows& op, KernelContext& context) {
  const int32_t* const sources = op.sources->data<int32_t>();
  int32_t* const x = op.x->data<int32_t>();
  const int64_t rows = op.x->shape[0], width = op.x->shape[1];
  for (int64_t r = 0; r < rows; ++r) {
    if (sources[r] / op.group != r / op.group || sources[r] < 0) op.fail(r, sources[r]);
  }
  const Scratch<int32_t> old(context.allocator, rows * width);
  std::copy_n(x, rows * width, old.get());
  for (int64_t r = 0; r < rows; ++r) std::copy_n(old.get() + sources[r] * width, width, x + r * width);
}

void run(const AppendTokens& op, KernelContext&) {
  const int32_t* const tokens = op.tokens->data<int32_t>();
  int32_t* const lengths = op.lengths->data<int32_t>();
  const int64_t rows = op.history->shape[0], capacity = op.history->shape[1];
  for (int64_t r = 0; r < rows; ++r) {
    if (lengths[r] < 0 || lengths[r] >= capacity) op.fail(r, lengths[r]);
  }
  for (int64_t r = 0; r < rows; ++r) op.history->data<int32_t>()[r * capacity + lengths[r]++] = tokens[r];
}

}  // namespace heddle::cpu::HEDDLE_ISA
