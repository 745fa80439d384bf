#pragma once

#include <array>

#include "core/tensor.h"
#include "ops/fault.h"

namespace heddle {

class Runtime;

/// Keys of a page. Pages are also the key blocks of attention.
constexpr int64_t kPageKeys = 64;
/// Values of a key are filled up with zeros to a multiple of this many.
constexpr int64_t kValueAlign = 16;

/// One page of one head, private to the device:
///
///   keys    [Dk][kPageKeys]   transposed, so that a vector holds one coordinate of many keys
///   values  [kPageKeys][Dv]   Dv rounded up to kValueAlign
///
/// Both are panels as linear's weights are, so that scores and outputs are products by the same inner kernel. Of int8
/// each key and each value has a scale of its own, the largest magnitude by 127, and behind them are
///
///   float32 [2][kPageKeys]    scales of keys, scales of values
struct PageShape {
  int64_t key_width;
  int64_t value_width;

  int64_t padded_value_width() const { return (value_width + kValueAlign - 1) / kValueAlign * kValueAlign; }
  int64_t value_offset() const { return key_width * kPageKeys; }
  /// Of int8.
  int64_t scales_offset() const { return kPageKeys * (key_width + padded_value_width()); }
  int64_t elements(DType dtype) const {
    constexpr int64_t kScaleBytes = 2 * kPageKeys * static_cast<int64_t>(sizeof(float));
    return scales_offset() + (dtype == DType::kInt8 ? kScaleBytes : 0);
  }
};

/// The keys and values of one layer for B sequences. Sequence b has its key j in page block_table[b, j / kPageKeys].
struct PagedKV {
  Tensor* pages;              // [P, Hkv, PageShape::elements()] of a float dtype or int8
  const Tensor* block_table;  // [B, pages per sequence] int32
  const Tensor* lengths;      // [B] int32: keys held before this call's queries
  PageShape shape;
};

/// Writes the keys and values of new tokens behind what each sequence holds. Lengths stay (see AdvanceLengths), since
/// every layer appends at the same place.
///
///   k           [Bq, Tq, Hkv, Dk] of a float dtype that goes with the cache's: see check_goes_with
///   v           [Bq, Tq, Hkv, Dv]
///   cu_seqlens  [B + 1] int32: tokens cu[b] … cu[b + 1] - 1, counted along [Bq · Tq], are those of sequence b
///
/// A sequence that outgrows its pages fails when the op runs: CACHE_FULL; so do cu_seqlens that do not rise from 0 to
/// Bq · Tq, lengths below 0 and a block table that names no page: INDEX_OUT_OF_RANGE.
struct AppendKV {
  static constexpr const char* kName = "append_kv";
  const Tensor* k;
  const Tensor* v;
  const Tensor* cu_seqlens;
  PagedKV cache;  // its pages are written in place

  std::array<const Tensor*, 6> reads() const {
    return {k, v, cu_seqlens, cache.block_table, cache.lengths, cache.pages};
  }
  std::array<Tensor*, 1> writes() const { return {cache.pages}; }
};

/// lengths[b] += cu_seqlens[b + 1] - cu_seqlens[b], in place: the end of a step in which all layers appended. Offsets
/// that fall, and lengths that pass int32, fail when the op runs: INDEX_OUT_OF_RANGE.
struct AdvanceLengths {
  static constexpr const char* kName = "advance_lengths";
  const Tensor* cu_seqlens;
  Tensor* lengths;

  std::array<const Tensor*, 2> reads() const { return {cu_seqlens, lengths}; }
  std::array<Tensor*, 1> writes() const { return {lengths}; }

  /// For kernels: `sequence` cannot grow by `tokens`.
  [[noreturn]] void fail(int64_t sequence, int64_t tokens) const;
};

/// Checks that pages are dense [P, Hkv, elements] of a dtype that a cache may have.
void check_pages(const char* function, const Tensor* pages);
/// Checks that the tensors of a cache fit each other and `batch` sequences.
void check_cache(const char* function, const PagedKV& cache, int64_t batch);
/// Queries, keys and values x are of the cache's dtype, or the cache is smaller than they are: int8, or of a half dtype
/// where they are float32.
void check_goes_with(const char* function, const char* argument, const Tensor* x, const PagedKV& cache);
/// For kernels, once the values are there (in host memory): `cu_seqlens` divides `tokens` among the sequences, and
/// every key that a sequence has, with `cross` without them, has a page. Lengths are at least `least`.
void check_values(const char* function, const Tensor* cu_seqlens, int64_t tokens, const PagedKV& cache, int64_t least,
                  bool cross = false);
/// What check_values throws: see Fault.
[[noreturn]] void fail_values(const char* function, Fault fault, int64_t index, int64_t value, int64_t tokens,
                              const PagedKV& cache);
/// k and v are [N, Hkv, D]: see AppendKV.
void append_kv(Runtime& runtime, AppendKV op);
void advance_lengths(Runtime& runtime, const AdvanceLengths& op);

}  // namespace heddle
