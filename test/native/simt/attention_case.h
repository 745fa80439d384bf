#pragma once

#include <algorithm>
#include <cmath>
#include <optional>

#include "simt/bias_cases.h"
#include "simt/cache.h"
#include "simt/harness.h"
#include "simt/mask_cases.h"

namespace heddle::test {

/// A case of attention.
struct Given {
  Ints counts;  // queries of each sequence
  Ints before;  // keys before them; negative where a query stands before the first key
  int64_t heads = 2;
  int64_t kv_heads = 2;
  int64_t key_width = 16;
  int64_t value_width = 16;
  bool causal = true;
  float scale = 0.25f;
  int64_t q_padding = 0;  // floats between tokens and before the first
  MaskBuilder* mask = nullptr;
  DType dtype = DType::kFloat32;
  const BiasCase* bias = nullptr;
  float softcap = 0.0f;
  bool sinks = false;
  int32_t shift = 0;                          // of all positions
  bool cross = false;                         // `before` are all keys
  std::optional<DType> cache = std::nullopt;  // its dtype, where it is another

  int64_t keys(size_t b) const { return std::max(0, before[b] + (cross ? 0 : counts[b])); }
  /// Of query `i` of a call with `count` queries.
  int64_t position(size_t b, int64_t i, int64_t first, int64_t count) const {
    return (cross ? before[b] - count : before[b] + first) + i + shift;
  }
  DType cache_dtype() const { return cache.value_or(dtype); }
  bool plain() const { return !bias && softcap == 0.0f && !sinks && shift == 0; }
};

inline std::string name_of(const Given& g) {
  return concat(name_of(g.dtype), g.cache ? concat(" over ", name_of(*g.cache)) : "", ", ", g.counts.size(), " x ",
                g.counts[0], " queries after ", g.before[0], " keys, heads ", g.heads, "/", g.kv_heads, ", widths ",
                g.key_width, "/", g.value_width, g.causal ? ", causal" : "", g.bias ? concat(", ", g.bias->name) : "",
                g.softcap != 0 ? ", soft cap" : "", g.sinks ? ", sinks" : "", g.shift != 0 ? ", shifted" : "",
                g.cross ? ", cross" : "");
}

/// The numbers of a case, those of a sequence independent of the others.
struct Numbers {
  explicit Numbers(const Given& g) : given(g) {
    for (size_t b = 0; b < g.counts.size(); ++b) {
      const int64_t keys = g.keys(b);
      q.push_back(normals(g.counts[b] * g.heads * g.key_width, 10 + b, g.dtype));
      k.push_back(cached(normals(keys * g.kv_heads * g.key_width, 20 + b), g.key_width, g.cache_dtype()));
      v.push_back(cached(normals(keys * g.kv_heads * g.value_width, 30 + b), g.value_width, g.cache_dtype()));
    }
  }
  float sink(int64_t head) const { return given.sinks && head != 1 ? 0.7f + static_cast<float>(head) : -INFINITY; }
  int64_t keys(size_t b) const { return given.keys(b); }

  /// Keys at `first` and every `step` on, which no query may attend to, become NaN.
  void spoil(int64_t step, int64_t first) {
    for (size_t b = 0; b < k.size(); ++b) {
      for (int64_t j = first; j < keys(b); j += step) {
        std::fill_n(&k[b][j * given.kv_heads * given.key_width], given.kv_heads * given.key_width, std::nanf(""));
        std::fill_n(&v[b][j * given.kv_heads * given.value_width], given.kv_heads * given.value_width, std::nanf(""));
      }
    }
  }

  Given given;
  std::vector<Floats> q, k, v;
  bool with_weights = false;
};

}  // namespace heddle::test
