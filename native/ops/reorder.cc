#include "ops/reorder.h"

#include "ops/checks.h"

namespace heddle {
namespace {

void check_sources(const char* function, const Tensor* sources, int64_t group, int64_t rows) {
  check_int32_vector(function, "sources", sources, rows);
  if (group < 1 || rows % group != 0) {
    throw_range_error("[", function, "] ", rows, " rows cannot be divided into groups of ", group);
  }
}

/// [R, C] int32, dense.
void check_int32_matrix(const char* function, const char* name, const Tensor* x) {
  check_strided(function, name, x);
  check_dtype(function, name, x, DType::kInt32);
  check_rank(function, name, x, 2, 2);
  check_dense(function, name, x);
}

[[noreturn]] void fail_source(const char* function, int64_t row, int64_t source, int64_t group) {
  const int64_t first = row / group * group;
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[", function, "] sources[", row, "] must be a row of its group, ", first, " to ",
                     first + group - 1, ", but is ", source));
}

}  // namespace

Tensor* reorder_cache(Runtime& runtime, ReorderCache op) {
  const char* const function = ReorderCache::kName;
  check_int32_matrix(function, "block_table", op.block_table);
  const int64_t rows = op.block_table->shape[0];
  check_sources(function, op.sources, op.group, rows);
  check_int32_vector(function, "lengths", op.lengths, rows);
  op.copies = runtime.make(op.sources, DType::kInt32, Shape{rows, 2});
  runtime.submit(op);
  return op.copies;
}

void ReorderCache::fail(Fault fault, int64_t row, int64_t value) const {
  if (fault == Fault::kIndex) fail_source(kName, row, value, group);
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[", kName, "] the rows of a group must hold what their sources hold, at most, and these equally ",
                     "much, from 0 to the ", block_table->shape[1] * kPageKeys, " keys of their pages: row ", row,
                     " holds ", value));
}

void copy_pages(Runtime& runtime, const CopyPages& op) {
  check_int32_matrix(CopyPages::kName, "copies", op.copies);
  check_shape(CopyPages::kName, "copies", op.copies, Shape{op.copies->shape[0], 2});
  check_pages(CopyPages::kName, op.pages);
  runtime.submit(op);
}

void reorder_rows(Runtime& runtime, const ReorderRows& op) {
  check_int32_matrix(ReorderRows::kName, "x", op.x);
  check_sources(ReorderRows::kName, op.sources, op.group, op.x->shape[0]);
  runtime.submit(op);
}

void ReorderRows::fail(int64_t row, int64_t source) const { fail_source(kName, row, source, group); }

void append_tokens(Runtime& runtime, const AppendTokens& op) {
  check_int32_matrix(AppendTokens::kName, "history", op.history);
  check_int32_vector(AppendTokens::kName, "tokens", op.tokens, op.history->shape[0]);
  check_int32_vector(AppendTokens::kName, "lengths", op.lengths, op.history->shape[0]);
  runtime.submit(op);
}

void AppendTokens::fail(int64_t row, int64_t length) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[", kName, "] row ", row, " holds ", length, " tokens of ", history->shape[1]));
}

}  // namespace heddle
