#pragma once

#include "ops/attention.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/favor.h"
#include "ops/gather.h"
#include "ops/kv_cache.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/linear_attention.h"
#include "ops/mask.h"
#include "ops/random.h"
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
  X(Dropout)            \
  X(EndOfSequence)      \
  X(FavorFeatures)      \
  X(Gated)              \
  X(GatherRows)         \
  X(LayerNorm)          \
  X(Linear)             \
  X(LinearAttention)    \
  X(MaskToArray)        \
  X(Orthogonalize)      \
  X(PackPanels)         \
  X(Random)             \
  X(RmsNorm)            \
  X(Rope)               \
  X(Sample)             \
  X(Softmax)
