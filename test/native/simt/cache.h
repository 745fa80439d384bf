#pragma once

#include <numeric>

#include "cuda/pages.h"
#include "simt/harness.h"

namespace heddle::test {

/// A cache whose pages lie scattered, for sequences of given keys and values.
class Cache {
 public:
  Cache(int64_t batch, int64_t kv_heads, PageShape shape, int64_t pages_per_sequence, DType dtype = DType::kFloat32)
      : batch_(batch),
        kv_heads_(kv_heads),
        shape_(shape),
        pages_(dtype, {batch * pages_per_sequence, kv_heads, shape.elements(dtype)}),
        table_(DType::kInt32, {batch, pages_per_sequence}),
        lengths_(Values::of({batch}, Ints(static_cast<size_t>(batch), 0))) {
    for (int64_t i = 0; i < batch * pages_per_sequence; ++i) {
      table_->data<int32_t>()[i] = static_cast<int32_t>(batch * pages_per_sequence - 1 - i);
    }
  }

  PagedKV paged() const { return {pages_, table_, lengths_, shape_}; }
  Values& lengths() { return lengths_; }
  Values& table() { return table_; }
  Values& pages() { return pages_; }

  /// Key j of sequence b: k [kv_heads, Dk], v [kv_heads, Dv], as AppendKV writes them.
  void write(int64_t b, int64_t j, const float* k, const float* v) {
    with_float_type(pages_->dtype, [&](auto type) { write_as<decltype(type)>(b, j, k, v); });
  }

 private:
  template <typename T>
  void write_as(int64_t b, int64_t j, const float* k, const float* v) {
    const int64_t page = table_.ints()[b * table_->shape[1] + j / kPageKeys], slot = j % kPageKeys;
    for (int64_t h = 0; h < kv_heads_; ++h) {
      T* const keys = pages_->data<T>() + (page * kv_heads_ + h) * shape_.elements(DType::kFloat32);
      for (int64_t d = 0; d < shape_.key_width; ++d) {
        keys[cuda::key_place<T>(slot, d)] = from_float<T>(k[h * shape_.key_width + d]);
      }
      for (int64_t d = 0; d < shape_.padded_value_width(); ++d) {
        keys[cuda::value_place<T>(shape_.value_offset(), shape_.padded_value_width(), slot, d)] =
            from_float<T>(d < shape_.value_width ? v[h * shape_.value_width + d] : 0.0f);
      }
    }
  }

  int64_t batch_, kv_heads_;
  PageShape shape_;
  Values pages_, table_, lengths_;
};

/// cuSeqlens of these counts.
inline Values offsets_of(const Ints& counts) {
  Ints ends{0};
  for (const int32_t count : counts) ends.push_back(ends.back() + count);
  return Values::of({static_cast<int64_t>(ends.size())}, ends);
}

inline int64_t sum_of(const Ints& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

}  // namespace heddle::test
