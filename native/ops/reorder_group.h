#pragma once

#include "core/host_device.h"
#include "ops/kv_cache.h"

namespace heddle {

/// One group of a ReorderCache, as kernels of both devices see it. All but `first` counts from the group's first row.
struct ReorderGroup {
  int64_t first;
  int64_t rows;
  int64_t pages;             // of a row of the table
  const int32_t* sources;    // rows of all groups
  const int32_t* old_table;  // [rows, pages]
  const int32_t* lengths;    // before

  HEDDLE_HOST_DEVICE int64_t source(int64_t row) const { return sources[row] - first; }
  /// Keys that each row holds afterwards.
  HEDDLE_HOST_DEVICE int64_t keys() const { return lengths[source(0)]; }

  HEDDLE_HOST_DEVICE bool is_source_wrong(int64_t row) const { return source(row) < 0 || source(row) >= rows; }
  /// Asked once no source is wrong.
  HEDDLE_HOST_DEVICE bool is_length_wrong(int64_t row) const {
    return keys() < 0 || keys() > pages * kPageKeys || lengths[row] > keys() || lengths[source(row)] != keys();
  }

  HEDDLE_HOST_DEVICE bool is_source(int64_t row) const {
    for (int64_t r = 0; r < rows; ++r) {
      if (source(r) == row) return true;
    }
    return false;
  }
  HEDDLE_HOST_DEVICE bool is_first_of_source(int64_t row) const {
    for (int64_t r = 0; r < row; ++r) {
      if (source(r) == source(row)) return false;
    }
    return true;
  }

  /// Deals out the pages begun: a source's to the first row that goes on from it; to the others those of rows that
  /// nobody goes on from, and a copy.
  HEDDLE_HOST_DEVICE void deal_pages(int32_t* table, int32_t* copies) const {
    const int64_t column = keys() / kPageKeys;
    const bool begun = keys() % kPageKeys != 0;
    int64_t spare = 0;  // the next row whose page may be given away
    for (int64_t r = 0; r < rows; ++r) {
      copies[2 * r] = copies[2 * r + 1] = -1;
      if (!begun) continue;
      const int32_t page = old_table[source(r) * pages + column];
      int32_t own = page;
      if (!is_first_of_source(r)) {
        while (is_source(spare)) ++spare;
        own = old_table[spare++ * pages + column];
        copies[2 * r] = page;
        copies[2 * r + 1] = own;
      }
      table[r * pages + column] = own;
    }
  }
};

}  // namespace heddle
