#include "ops/kv_cache.h"

#include "ops/checks.h"

namespace heddle {

void check_pages(const char* function, const Tensor* pages) {
  check_strided(function, "cache.pages", pages);
  if (pages->dtype != DType::kInt8) check_float_dtype(function, "cache.pages", pages);
  check_rank(function, "cache.pages", pages, 3, 3);
  check_dense(function, "cache.pages", pages);
}

void check_cache(const char* function, const PagedKV& cache, int64_t batch) {
  check_pages(function, cache.pages);
  const int64_t elements = cache.shape.elements(cache.pages->dtype);
  if (cache.pages->shape[2] != elements) {
    throw_range_error("[", function, "] cache.pages must be [P, Hkv, ", elements, "] but got ", cache.pages->shape);
  }
  check_int32_vector(function, "cache.lengths", cache.lengths, batch);
  check_strided(function, "cache.block_table", cache.block_table);
  check_dtype(function, "cache.block_table", cache.block_table, DType::kInt32);
  check_rank(function, "cache.block_table", cache.block_table, 2, 2);
  check_dense(function, "cache.block_table", cache.block_table);
  if (cache.block_table->shape[0] != batch) {
    throw_range_error("[", function, "] the cache holds ", cache.block_table->shape[0], " sequences but got ", batch);
  }
}

void check_goes_with(const char* function, const char* argument, const Tensor* x, const PagedKV& cache) {
  check_floats(function, argument, x);
  const Tensor* const pages = cache.pages;
  if (x->dtype == pages->dtype) return;
  const bool is_smaller = pages->dtype == DType::kInt8 || x->dtype == DType::kFloat32;
  if (!is_smaller) check_same_dtype(function, argument, x, "the cache", pages);
}

void fail_values(const char* function, Fault fault, int64_t index, int64_t value, int64_t tokens,
                 const PagedKV& cache) {
  const auto fail = [&](const char* code, const auto&... parts) {
    throw Error(ErrorKind::kRange, code, concat("[", function, "] ", parts...));
  };
  switch (fault) {
    case Fault::kOffsets:
      fail("INDEX_OUT_OF_RANGE", "cuSeqlens must rise from 0 to ", tokens, " but cuSeqlens[", index, "] is ", value);
      break;
    case Fault::kFull:
      fail("CACHE_FULL", "sequence ", index, " would hold ", value, " keys but its pages take ",
           cache.block_table->shape[1] * kPageKeys);
      break;
    case Fault::kPage:
      fail("INDEX_OUT_OF_RANGE", "the block table names page ", value, " of ", cache.pages->shape[0]);
      break;
    case Fault::kIndex:
    case Fault::kLength:
      break;
  }
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[", function, "] sequence ", index, " has ", value, " keys"));
}

void check_values(const char* function, const Tensor* cu_seqlens, int64_t tokens, const PagedKV& cache, int64_t least,
                  bool cross) {
  const auto fail = [&](Fault fault, int64_t index, int64_t value) {
    fail_values(function, fault, index, value, tokens, cache);
  };
  const int32_t* cu = cu_seqlens->data<int32_t>();
  const int32_t* table = cache.block_table->data<int32_t>();
  const int64_t batch = cache.lengths->numel(), pages = cache.block_table->shape[1];
  for (int64_t b = 0; b <= batch; ++b) {
    if (b == 0 ? cu[0] != 0 : cu[b] < cu[b - 1] || (b == batch && cu[b] != tokens)) fail(Fault::kOffsets, b, cu[b]);
  }
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t length = cache.lengths->data<int32_t>()[b], keys = length + (cross ? 0 : cu[b + 1] - cu[b]);
    if (length < least || keys < 0) fail(Fault::kLength, b, keys);
    if (keys > pages * kPageKeys) fail(Fault::kFull, b, keys);
    for (int64_t i = 0; i * kPageKeys < keys; ++i) {
      const int32_t page = table[b * pages + i];
      if (page < 0 || page >= cache.pages->shape[0]) fail(Fault::kPage, b, page);
    }
  }
}

void append_kv(Runtime& runtime, AppendKV op) {
  check_int32_vector(AppendKV::kName, "cuSeqlens", op.cu_seqlens, op.cache.block_table->shape[0] + 1);
  check_cache(AppendKV::kName, op.cache, op.cache.block_table->shape[0]);
  const int64_t heads = op.cache.pages->shape[1];
  check_goes_with(AppendKV::kName, "k", op.k, op.cache);
  check_floats_as(AppendKV::kName, "v", op.v, "k", op.k);
  check_rank(AppendKV::kName, "k", op.k, 4, 4);
  check_shape(AppendKV::kName, "k", op.k, Shape{op.k->shape[0], op.k->shape[1], heads, op.cache.shape.key_width});
  check_shape(AppendKV::kName, "v", op.v, Shape{op.k->shape[0], op.k->shape[1], heads, op.cache.shape.value_width});
  runtime.submit(op);
}

void advance_lengths(Runtime& runtime, const AdvanceLengths& op) {
  check_int32_vector(AdvanceLengths::kName, "lengths", op.lengths, op.lengths->numel());
  check_int32_vector(AdvanceLengths::kName, "cuSeqlens", op.cu_seqlens, op.lengths->numel() + 1);
  runtime.submit(op);
}

void AdvanceLengths::fail(int64_t sequence, int64_t tokens) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[advance_lengths] cuSeqlens: sequence ", sequence, " cannot grow by ", tokens, " tokens"));
}

}  // namespace heddle
