#pragma once

#include <cmath>
#include <limits>
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
    if (pages_->dtype == DType::kInt8) return write_as<int8_t>(b, j, k, v);
    with_float_type(pages_->dtype, [&](auto type) { write_as<decltype(type)>(b, j, k, v); });
  }

 private:
  template <typename T>
  void write_as(int64_t b, int64_t j, const float* k, const float* v) {
    const int64_t page = table_.ints()[b * table_->shape[1] + j / kPageKeys], slot = j % kPageKeys;
    for (int64_t h = 0; h < kv_heads_; ++h) {
      T* const keys = pages_->data<T>() + (page * kv_heads_ + h) * shape_.elements(pages_->dtype);
      auto* const scales = reinterpret_cast<float*>(keys + shape_.scales_offset()) + slot;
      put<T>(k + h * shape_.key_width, shape_.key_width, shape_.key_width, scales,
             [&](int64_t d) -> T& { return keys[cuda::key_place<T>(slot, d)]; });
      const int64_t padded = shape_.padded_value_width();
      put<T>(v + h * shape_.value_width, shape_.value_width, padded, scales + kPageKeys,
             [&](int64_t d) -> T& { return keys[cuda::value_place<T>(shape_.value_offset(), padded, slot, d)]; });
    }
  }

  template <typename T, typename Place>
  static void put(const float* x, int64_t width, int64_t padded, float* scale, const Place& place) {
    [[maybe_unused]] float inverse = 0;
    if constexpr (std::is_same_v<T, int8_t>) {
      float magnitude = 0;
      for (int64_t d = 0; d < width; ++d) {
        magnitude = std::isfinite(x[d]) ? std::max(magnitude, std::fabs(x[d])) : INFINITY;
        if (magnitude == INFINITY) break;
      }
      *scale = std::isfinite(magnitude) ? magnitude / 127 : std::numeric_limits<float>::quiet_NaN();
      inverse = magnitude == 0 ? 0 : 127 / magnitude;
    }
    for (int64_t d = 0; d < padded; ++d) {
      const float one = d < width ? x[d] : 0.0f;
      if constexpr (std::is_same_v<T, int8_t>) {
        place(d) = inverse == 0 ? int8_t{0} : static_cast<int8_t>(std::nearbyint(one * inverse));
      } else {
        place(d) = from_float<T>(one);
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

/// The nearest vectors of `width` that a cache of a dtype holds, of int8 with scales short enough that products with
/// them are exact.
inline Floats cached(Floats x, int64_t width, DType dtype) {
  if (dtype != DType::kInt8) return rounded(std::move(x), dtype);
  for (auto row = x.begin(); row != x.end(); row += width) {
    const auto most = std::max_element(row, row + width, [](float a, float b) { return std::fabs(a) < std::fabs(b); });
    const float scale = float_of_bits(bits_of_float(std::fabs(*most) / 127) & ~0xffu);
    *most = std::copysign(127 * scale, *most);
    for (auto one = row; one != row + width; ++one) {
      *one = scale * std::min(127.0f, std::max(-127.0f, std::nearbyint(*one / scale)));
    }
  }
  return x;
}

inline int64_t sum_of(const Ints& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }

}  // namespace heddle::test
