#pragma once

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/kv_cache.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/mask.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/sample.h"
#include "ops/softmax.h"

/// Every op that has a kernel on each device: the registration table.
#define HEDDLE_OPS(X)   \
  X(Activate)           \
  X(Add)                \
  X(AdvanceLengths)     \
  X(AppendKV)           \
  X(Argmax)             \
  X(Attention)          \
  X(AttentionScores)    \
  X(Cast)               \
  X(Copy)               \
  X(CountMaskTiles)     \
  X(Embedding)          \
  X(DynamicFrequencies) \
  X(EndOfSequence)      \
  X(Gated)              \
  X(GatherRows)         \
  X(LayerNorm)          \
  X(Linear)             \
  X(MaskToArray)        \
  X(PackPanels)         \
  X(RmsNorm)            \
  X(Rope)               \
  X(Sample)             \
  X(Softmax)
