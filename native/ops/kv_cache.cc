#include "ops/kv_cache.h"

#include "ops/checks.h"

namespace heddle {

void check_cache(const char* function, const PagedKV& cache, int64_t batch) {
  check_floats(function, "cache.pages", cache.pages);
  check_rank(function, "cache.pages", cache.pages, 3, 3);
  if (cache.pages->shape[2] != cache.shape.floats() || !cache.pages->is_contiguous()) {
    throw_range_error("[", function, "] cache.pages must be dense [P, Hkv, ", cache.shape.floats(), "] but got ",
                      cache.pages->shape);
  }
  check_int32_vector(function, "cache.lengths", cache.lengths, batch);
  check_strided(function, "cache.block_table", cache.block_table);
  check_dtype(function, "cache.block_table", cache.block_table, DType::kInt32);
  check_rank(function, "cache.block_table", cache.block_table, 2, 2);
  if (cache.block_table->shape[0] != batch) {
    throw_range_error("[", function, "] the cache holds ", cache.block_table->shape[0], " sequences but got ", batch);
  }
}

void append_kv(Runtime& runtime, AppendKV op) {
  check_int32_vector(AppendKV::kName, "cuSeqlens", op.cu_seqlens, op.cache.block_table->shape[0] + 1);
  check_cache(AppendKV::kName, op.cache, op.cache.block_table->shape[0]);
  const int64_t heads = op.cache.pages->shape[1];
  check_floats(AppendKV::kName, "k", op.k);
  check_floats(AppendKV::kName, "v", op.v);
  check_rank(AppendKV::kName, "k", op.k, 4, 4);
  check_shape(AppendKV::kName, "k", op.k, Shape{op.k->shape[0], op.k->shape[1], heads, op.cache.shape.key_width});
  check_shape(AppendKV::kName, "v", op.v, Shape{op.k->shape[0], op.k->shape[1], heads, op.cache.shape.value_width});
  runtime.submit(op);
}

void AppendKV::fail(int64_t sequence, int64_t keys) const {
  throw Error(ErrorKind::kRange, "CACHE_FULL",
              concat("[append_kv] sequence ", sequence, " would hold ", keys, " keys but its pages take ",
                     cache.block_table->shape[1] * kPageKeys));
}

void advance_lengths(Runtime& runtime, const AdvanceLengths& op) {
  check_int32_vector(AdvanceLengths::kName, "cuSeqlens", op.cu_seqlens, op.lengths->shape[0] + 1);
  runtime.submit(op);
}

}  // namespace heddle
