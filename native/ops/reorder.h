#pragma once

#include <array>

#include "ops/kv_cache.h"

namespace heddle {

// Beam search, and contrastive search, go on from some of their rows and drop others: row r of a step continues what
// row sources[r] was. Rows come in groups of `group`, one behind the other, and a source is a row of the same group.
//
//   sources  [R] int32, R a multiple of `group`
//
// A source outside its group fails when the op runs: INDEX_OUT_OF_RANGE.

/// Rows of a cache take over what their sources hold, in place. Pages that are full are shared from then on; of a page
/// begun, one row has the source's and the others get pages of their own, into which CopyPages must copy, layer by
/// layer. A row's pages behind its keys stay its own. So no row ever writes where another reads.
///
///   block_table  [R, pages per sequence] int32, in place
///   lengths      [R] int32, in place
///   copies       [R, 2] int32: the page to copy and the page that it goes to; -1 where there is nothing to copy
///
/// The sources of a group hold equally many keys, and no row of it holds more: INDEX_OUT_OF_RANGE where they do not.
struct ReorderCache {
  static constexpr const char* kName = "reorder_cache";
  const Tensor* sources;
  int64_t group;
  Tensor* block_table;
  Tensor* lengths;
  Tensor* copies = nullptr;

  std::array<const Tensor*, 3> reads() const { return {sources, block_table, lengths}; }
  std::array<Tensor*, 3> writes() const { return {block_table, lengths, copies}; }

  /// For kernels: row `row` cannot go on from its source, or its group's lengths do not fit.
  [[noreturn]] void fail(Fault fault, int64_t row, int64_t value) const;
};
/// Returns `copies`.
Tensor* reorder_cache(Runtime& runtime, ReorderCache op);

/// Copies pages [P, Hkv, E] of one layer as `copies` [R, 2] says, in place. No page is both copied and written.
struct CopyPages {
  static constexpr const char* kName = "copy_pages";
  const Tensor* copies;
  Tensor* pages;

  std::array<const Tensor*, 2> reads() const { return {copies, pages}; }
  std::array<Tensor*, 1> writes() const { return {pages}; }
};
void copy_pages(Runtime& runtime, const CopyPages& op);

/// x[r] = what x[sources[r]] was, in place.
///
///   x  [R, C] int32
struct ReorderRows {
  static constexpr const char* kName = "reorder_rows";
  const Tensor* sources;
  int64_t group;
  Tensor* x;

  std::array<const Tensor*, 2> reads() const { return {sources, x}; }
  std::array<Tensor*, 1> writes() const { return {x}; }

  [[noreturn]] void fail(int64_t row, int64_t source) const;
};
void reorder_rows(Runtime& runtime, const ReorderRows& op);

/// history[r, lengths[r]++] = tokens[r], in place: what a step's processors look back on.
///
///   tokens   [R] int32
///   history  [R, L] int32
///   lengths  [R] int32
///
/// A row that is full fails when the op runs: INDEX_OUT_OF_RANGE.
struct AppendTokens {
  static constexpr const char* kName = "append_tokens";
  const Tensor* tokens;
  Tensor* history;
  Tensor* lengths;

  std::array<const Tensor*, 3> reads() const { return {tokens, history, lengths}; }
  std::array<Tensor*, 2> writes() const { return {history, lengths}; }

  [[noreturn]] void fail(int64_t row, int64_t length) const;
};
void append_tokens(Runtime& runtime, const AppendTokens& op);

}  // namespace heddle
