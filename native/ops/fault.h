#pragma once

#include <cstdint>

namespace heddle {

/// What a kernel can find wrong with an op's data. Of several the first in this order is told, and of those the one
/// with the lowest index.
enum class Fault : uint32_t {
  kIndex,    // an index, id or row: `value` is what stood at `index`
  kOffsets,  // cuSeqlens[index] = value does not rise from 0 to the number of tokens
  kLength,   // sequence `index` would have `value` keys
  kFull,     // the same, and they outgrow its pages
  kPage,     // the block table of sequence `index` names page `value`
};

}  // namespace heddle
