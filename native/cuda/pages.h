#pragma once

#include "cuda/failure.h"
#include "cuda/lanes.h"
#include "cuda/swizzle.h"
#include "ops/kv_cache.h"

namespace heddle::cuda {

/// A cache and the tokens of a call as kernels see them.
struct Pages {
  void* data;
  DType dtype;  // a float dtype or int8
  int element_bytes;
  const int32_t* table;
  const int32_t* lengths;
  const int32_t* cu;
  int64_t tokens;
  int64_t batch;
  int64_t pages_per_sequence;
  int64_t num_pages;
  int64_t kv_heads;
  int64_t key_width;
  int64_t value_width;
  int64_t padded_value_width;
  int64_t value_offset;
  int64_t scales_offset;  // of int8
  int64_t page_bytes;
  bool cross;  // the tokens are not among the keys
};

inline Pages pages_of(const PagedKV& cache, const Tensor* cu_seqlens, int64_t tokens, bool cross = false) {
  const PageShape& shape = cache.shape;
  const DType dtype = cache.pages->dtype;
  const auto bytes = static_cast<int>(size_of(dtype));
  return {static_cast<char*>(cache.pages->storage->data) + cache.pages->offset * bytes,
          dtype,
          bytes,
          cache.block_table->data<int32_t>(),
          cache.lengths->data<int32_t>(),
          cu_seqlens->data<int32_t>(),
          tokens,
          cache.lengths->numel(),
          cache.block_table->shape[1],
          cache.pages->shape[0],
          cache.pages->shape[1],
          shape.key_width,
          shape.value_width,
          shape.padded_value_width(),
          shape.value_offset(),
          shape.scales_offset(),
          shape.elements(dtype) * bytes,
          cross};
}

/// The tokens of one sequence in a call, and how many keys it has, with them unless they are others' (`cross`).
struct Sequence {
  int32_t first;
  int32_t tokens;
  int32_t keys;
};

/// No tokens and no keys where the values are wrong: nothing out of bounds is touched then.
HEDDLE_DEVICE Sequence sequence_of(const Pages& p, int64_t b) {
  const int32_t begin = p.cu[b], end = p.cu[b + 1];
  if (begin < 0 || end < begin || end > p.tokens) return {0, 0, 0};
  const int64_t keys = int64_t{p.lengths[b]} + (p.cross ? 0 : end - begin);
  if (keys < 0 || keys > p.pages_per_sequence * kPageKeys) return {0, 0, 0};
  return {begin, end - begin, static_cast<int32_t>(keys)};
}

/// The last sequence that begins at token n or before it: empty ones in between are passed over.
HEDDLE_DEVICE int64_t sequence_at(const Pages& p, int64_t n) {
  int64_t low = 0, high = p.batch;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (p.cu[middle] <= n ? low : high) = middle;
  }
  return low;
}

/// Page `index` of sequence b for one head, of elements that are Ts; null where the table names none.
template <typename T>
HEDDLE_DEVICE T* page_of(const Pages& p, int64_t b, int64_t index, int64_t kv_head) {
  const int64_t page = p.table[b * p.pages_per_sequence + index];
  if (page < 0 || page >= p.num_pages) return nullptr;
  return reinterpret_cast<T*>(static_cast<char*>(p.data) + (page * p.kv_heads + kv_head) * p.page_bytes);
}

/// The scales of a page of int8: of keys, then of values.
using PageScales = float[2 * kPageKeys];
HEDDLE_DEVICE float* scales_of(const Pages& p, void* page) {
  return reinterpret_cast<float*>(static_cast<char*>(page) + p.scales_offset);
}
/// Starts copying them, by the first threads of a block; zeros where there is no page.
HEDDLE_DEVICE void start_scales(const Pages& p, char* page, float* to) {
  const int at = fresh(thread_index()) * 4;
  if (at < 2 * kPageKeys) copy_async<16>(to + at, page ? scales_of(p, page) + at : p.data, page != nullptr);
}

// Pages of halves lie as shared memory is to have them, so that they can be copied whole: lines of 64, swizzled. A line
// of keys is one coordinate of all of them. Values are in panels of 64 columns, where a line is one key; the last panel
// is as wide as is left. Swizzling exchanges chunks of a line with each other, in a narrow one those of its 32 and then
// of its 16 columns, as far as it has them. Elements of int8 have the places of halves.

constexpr int kLine = 64;

/// Four elements of a page that lie together, widened; of int8 without their scale.
HEDDLE_DEVICE float4 widen_four(const Words& words, DType dtype) {
  const uint32_t low = words.at[0], high = words.at[1];
  const auto four = [&](auto type) -> float4 {
    using T = decltype(type);
    return {widen(from_bits<T>(low)), widen(from_bits<T>(low >> 16)), widen(from_bits<T>(high)),
            widen(from_bits<T>(high >> 16))};
  };
  if (dtype == DType::kFloat16) return four(Float16{});
  if (dtype == DType::kBFloat16) return four(BFloat16{});
  const auto whole = [low](int i) { return widen(static_cast<int8_t>(low >> 8 * i)); };
  return {whole(0), whole(1), whole(2), whole(3)};
}

/// What the number of a chunk is changed by, which bits of the key's number.
HEDDLE_DEVICE int swizzle_mask(int64_t panel_width, int64_t chunk) {
  if (panel_width >= kLine) return 7;
  return chunk < (panel_width & 32) / kChunk ? 3 : 1;
}

/// Where coordinate d of a page's key is, in elements.
template <typename T>
HEDDLE_DEVICE int64_t key_place(int64_t key, int64_t d) {
  if constexpr (sizeof(T) == 4) return d * kPageKeys + key;
  return d * kPageKeys + swizzled<8>(static_cast<int>(d % 8), static_cast<int>(key / kChunk)) % kLine + key % kChunk;
}

/// The same of a value.
template <typename T>
HEDDLE_DEVICE int64_t value_place(int64_t value_offset, int64_t padded_value_width, int64_t key, int64_t d) {
  if constexpr (sizeof(T) == 4) return value_offset + key * padded_value_width + d;
  const int64_t left = padded_value_width - d / kLine * kLine, width = left < kLine ? left : kLine;
  const int64_t chunk = d % kLine / kChunk;
  return value_offset + d / kLine * kLine * kPageKeys + key * width +
         (chunk ^ (key & swizzle_mask(width, chunk))) * kChunk + d % kChunk;
}

/// What heddle::check_values asks of the values, by one block. Lengths are at least `least`.
HEDDLE_DEVICE void check_pages(const Pages& p, int64_t least, unsigned long long* failure) {
  for (int64_t b = thread_index(); b <= p.batch; b += num_threads()) {
    const bool rises = b == 0 ? p.cu[0] == 0 : p.cu[b] >= p.cu[b - 1];
    if (!rises || (b == p.batch && p.cu[b] != p.tokens)) report(failure, Fault::kOffsets, b, p.cu[b]);
    if (b == p.batch) continue;
    const int64_t keys = int64_t{p.lengths[b]} + (p.cross ? 0 : p.cu[b + 1] - p.cu[b]);
    if (p.lengths[b] < least || keys < 0) {
      report(failure, Fault::kLength, b, keys);
    } else if (keys > p.pages_per_sequence * kPageKeys) {
      report(failure, Fault::kFull, b, keys);
    } else {
      for (int64_t i = 0; i * kPageKeys < keys; ++i) {
        const int32_t page = p.table[b * p.pages_per_sequence + i];
        if (page < 0 || page >= p.num_pages) report(failure, Fault::kPage, b, page);
      }
    }
  }
}

}  // namespace heddle::cuda
