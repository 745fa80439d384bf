#include "cuda/failure.h"
#include "cuda/kernels.h"
#include "ops/reorder.h"
#include "ops/reorder_group.h"

namespace heddle::cuda {
namespace {

constexpr int kThreads = 128;

HEDDLE_KERNEL(kThreads) copy_words(int64_t count, const int32_t* from, int32_t* to) {
  for (int64_t i = block_x() * kThreads + thread_index(); i < count; i += num_blocks_x() * kThreads) to[i] = from[i];
}

/// A block a group. What is wrong in one group leaves that group as it was.
HEDDLE_KERNEL(kThreads)
reorder_groups(int64_t rows, int64_t pages, const int32_t* sources, const int32_t* old_table, int32_t* table,
               int32_t* lengths, int32_t* copies, unsigned long long* failure) {
  const int64_t first = block_x() * rows;
  const ReorderGroup group{first, rows, pages, sources + first, old_table + first * pages, lengths + first};
  bool wrong = false;
  for (int64_t r = thread_index(); r < rows; r += kThreads) {
    if (!group.is_source_wrong(r)) continue;
    report(failure, Fault::kIndex, first + r, group.sources[r]);
    wrong = true;
  }
  if (any_of_block(wrong)) return;
  for (int64_t r = thread_index(); r < rows; r += kThreads) {
    if (!group.is_length_wrong(r)) continue;
    report(failure, Fault::kLength, first + r, group.lengths[r]);
    wrong = true;
  }
  if (any_of_block(wrong)) return;

  const int64_t keys = group.keys(), full = keys / kPageKeys;
  for (int64_t i = thread_index(); i < rows * full; i += kThreads) {
    const int64_t r = i / full, page = i % full;
    table[(first + r) * pages + page] = group.old_table[group.source(r) * pages + page];
  }
  if (thread_index() == 0) group.deal_pages(table + first * pages, copies + 2 * first);
  for (int64_t r = thread_index(); r < rows; r += kThreads) lengths[first + r] = static_cast<int32_t>(keys);
}

/// Blocks a row: a part of its page each.
HEDDLE_KERNEL(kThreads) copy_pages(int64_t bytes, const int32_t* copies, char* pages) {
  const int64_t from = copies[2 * block_y()], to = copies[2 * block_y() + 1];
  if (from < 0) return;
  // Pages are whole vectors: 64 keys of any width.
  for (int64_t i = 16 * (block_x() * kThreads + thread_index()); i < bytes; i += 16 * num_blocks_x() * kThreads) {
    write_words(pages + to * bytes + i, read_words(pages + from * bytes + i));
  }
}

/// A block a row.
HEDDLE_KERNEL(kThreads)
reorder_rows(int64_t width, int64_t group, const int32_t* sources, const int32_t* old, int32_t* x,
             unsigned long long* failure) {
  const int64_t row = block_x(), source = sources[row];
  if (source < 0 || source / group != row / group) {
    if (thread_index() == 0) report(failure, Fault::kIndex, row, source);
    return;
  }
  for (int64_t i = thread_index(); i < width; i += kThreads) x[row * width + i] = old[source * width + i];
}

HEDDLE_KERNEL(kThreads)
append_tokens(int64_t rows, int64_t capacity, const int32_t* tokens, int32_t* history, int32_t* lengths,
              unsigned long long* failure) {
  bool wrong = false;
  for (int64_t r = thread_index(); r < rows; r += kThreads) {
    if (lengths[r] >= 0 && lengths[r] < capacity) continue;
    report(failure, Fault::kIndex, r, lengths[r]);
    wrong = true;
  }
  if (any_of_block(wrong)) return;
  for (int64_t r = thread_index(); r < rows; r += kThreads) history[r * capacity + lengths[r]++] = tokens[r];
}

/// A copy of x [count], in memory of the context; null where there is none left.
int32_t* copy_of(const Tensor* x, CudaContext& context, Status& status) {
  const int64_t count = x->numel();
  auto* const copy = static_cast<int32_t*>(context.allocate(context.owner, sizeof(int32_t) * count));
  status = copy ? launch(copy_words, {ceil_div(count, kThreads), kThreads}, context, count, x->data<int32_t>(), copy)
                : kOutOfMemory;
  return copy;
}

}  // namespace

Status run(const ReorderCache& op, CudaContext& context) {
  if (op.block_table->numel() == 0) return kSuccess;
  Status status;
  const int32_t* const old_table = copy_of(op.block_table, context, status);
  if (status != kSuccess) return status;
  return launch(reorder_groups, {op.lengths->numel() / op.group, kThreads}, context, op.group, op.block_table->shape[1],
                op.sources->data<int32_t>(), old_table, op.block_table->data<int32_t>(), op.lengths->data<int32_t>(),
                op.copies->data<int32_t>(), context.failure);
}

Status run(const CopyPages& op, CudaContext& context) {
  const auto size = static_cast<int64_t>(size_of(op.pages->dtype));
  const int64_t bytes = op.pages->shape[1] * op.pages->shape[2] * size;
  return launch(copy_pages, {ceil_div(bytes, 16 * 4 * kThreads), kThreads, op.copies->shape[0]}, context, bytes,
                op.copies->data<int32_t>(), static_cast<char*>(op.pages->storage->data) + op.pages->offset * size);
}

Status run(const ReorderRows& op, CudaContext& context) {
  if (op.x->numel() == 0) return kSuccess;
  Status status;
  const int32_t* const old = copy_of(op.x, context, status);
  if (status != kSuccess) return status;
  return launch(reorder_rows, {op.x->shape[0], kThreads}, context, op.x->shape[1], op.group,
                op.sources->data<int32_t>(), old, op.x->data<int32_t>(), context.failure);
}

Status run(const AppendTokens& op, CudaContext& context) {
  return launch(append_tokens, {1, kThreads}, context, op.history->shape[0], op.history->shape[1],
                op.tokens->data<int32_t>(), op.history->data<int32_t>(), op.lengths->data<int32_t>(), context.failure);
}

}  // namespace heddle::cuda
