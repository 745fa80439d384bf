#pragma once

#include "ops/activation.h"
#include "ops/attention.h"
#include "ops/concat.h"
#include "ops/cross_entropy.h"
#include "ops/elementwise.h"
#include "ops/embedding.h"
#include "ops/gather.h"
#include "ops/kv_cache.h"
#include "ops/layer_norm.h"
#include "ops/linear.h"
#include "ops/mask.h"
#include "ops/matmul.h"
#include "ops/reduce.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/sample.h"
#include "ops/scatter.h"
#include "ops/softmax.h"
#include "ops/top_k.h"

/// Every op that has a kernel on each device: the registration table.
#define HEDDLE_OPS(X)   \
  X(Activate)           \
  X(AdvanceLengths)     \
  X(AppendKV)           \
  X(Argmax)             \
  X(Attention)          \
  X(AttentionScores)    \
  X(Binary)             \
  X(Cast)               \
  X(Concat)             \
  X(Copy)               \
  X(CrossEntropy)       \
  X(CountMaskTiles)     \
  X(Embedding)          \
  X(DynamicFrequencies) \
  X(EndOfSequence)      \
  X(Gated)              \
  X(GatherRows)         \
  X(LayerNorm)          \
  X(Linear)             \
  X(MaskToArray)        \
  X(Matmul)             \
  X(PackPanels)         \
  X(Reduce)             \
  X(RmsNorm)            \
  X(Rope)               \
  X(Rotate)             \
  X(Sample)             \
  X(ScatterRows)        \
  X(Softmax)            \
  X(TensorScatter)      \
  X(TopK)               \
  X(Where)
