#include "ops/mask.h"

#include "ops/checks.h"

namespace heddle {
namespace {

/// Tensors that a piece names, by its kind: see MaskKind.
void check_data(const char* function, MaskKind kind, const Tensor* data, int64_t batch, int64_t heads) {
  if (!data) throw_range_error("[", function, "] mask names a tensor that is not there");
  check_strided(function, "mask", data);
  check_dense(function, "mask", data);
  const bool bits = kind == MaskKind::kDense || kind == MaskKind::kBlocks || kind == MaskKind::kTree;
  check_dtype(function, "mask", data, bits ? DType::kBool : DType::kInt32);
  const Shape& shape = data->shape;
  const auto check = [&](int rank, int batch_axis, int heads_axis) {
    check_rank(function, "mask", data, rank, rank);
    if (batch_axis >= 0 && shape[batch_axis] != 1 && shape[batch_axis] != batch) {
      throw_range_error("[", function, "] mask of shape ", shape, " does not fit ", batch, " sequences");
    }
    if (heads_axis >= 0 && shape[heads_axis] != 1 && shape[heads_axis] != heads) {
      throw_range_error("[", function, "] mask of shape ", shape, " does not fit ", heads, " heads");
    }
  };
  switch (kind) {
    case MaskKind::kPrefix:
    case MaskKind::kSuffix:
      return check(1, 0, -1);
    case MaskKind::kDocuments:
      return check(2, 0, -1);
    case MaskKind::kDense:
      return check(4, 0, 1);
    case MaskKind::kBlocks:
      return check(3, -1, 0);
    case MaskKind::kTree:
      check(2, -1, -1);
      if (shape[0] == shape[1]) return;
      throw_range_error("[", function, "] mask of a tree must be square but has shape ", shape);
    default:
      return check(1, -1, -1);
  }
}

}  // namespace

MaskOperand MaskExpression::operand(Runtime& runtime, const char* function, const Tensor* beside, int64_t batch,
                                    int64_t heads) const {
  MaskOperand operand;
  if (!code) return operand;
  if (nodes < 1 || nodes > MaskOperand::kMaxNodes) {
    throw_range_error("[", function, "] mask has ", nodes, " pieces and combinations but may have 1 to ",
                      MaskOperand::kMaxNodes);
  }
  for (int64_t i = 0; i < nodes; ++i) {
    const auto kind = static_cast<MaskKind>(code[4 * i]);
    const int32_t a = code[4 * i + 1], b = code[4 * i + 2];
    switch (kind) {
      case MaskKind::kCausal:
      case MaskKind::kWindow:
        break;
      case MaskKind::kStride:
      case MaskKind::kBlock:
      case MaskKind::kBlockTail:
        if (a < 1) throw_range_error("[", function, "] mask has blocks or strides of ", a);
        break;
      case MaskKind::kRandom:
        if (a >= 1 && a <= MaskOperand::kMaxRandom) break;
        throw_range_error("[", function, "] mask draws ", a, " keys but may draw 1 to ", MaskOperand::kMaxRandom);
      case MaskKind::kBlocks:
        if (b < 1) throw_range_error("[", function, "] mask has blocks of ", b);
        [[fallthrough]];
      case MaskKind::kPrefix:
      case MaskKind::kSuffix:
      case MaskKind::kDocuments:
      case MaskKind::kGlobal:
      case MaskKind::kDense:
      case MaskKind::kTree:
        check_data(function, kind, a >= 0 && a < 4 ? data[a] : nullptr, batch, heads);
        break;
      case MaskKind::kAnd:
      case MaskKind::kOr:
      case MaskKind::kNot:
        if (a < 0 || a >= i || b < 0 || b >= i) throw_range_error("[", function, "] mask is not a tree of pieces");
        break;
      default:
        throw_range_error("[", function, "] mask has a piece of unknown kind ", code[4 * i]);
    }
  }
  operand.code = runtime.make_filled(beside, DType::kInt32, Shape{nodes, 4}, code);
  operand.data = data;
  return operand;
}

void MaskExpression::check_extent(const char* function, int64_t queries, int64_t keys) const {
  for (const Tensor* one : data) {
    if (!one || one->dtype != DType::kBool || one->shape.rank() != 4) continue;  // not dense
    const auto fits = [](int64_t size, int64_t wanted) { return size == 1 || size == wanted; };
    if (fits(one->shape[2], queries) && fits(one->shape[3], keys)) continue;
    throw_range_error("[", function, "] mask of shape ", one->shape, " does not fit ", queries, " queries and ", keys,
                      " keys");
  }
}

Tensor* mask_to_array(Runtime& runtime, const MaskExpression& mask, const Tensor* offsets, const Shape& shape) {
  check_int32_vector(MaskToArray::kName, "offsets", offsets, shape[0]);
  mask.check_extent(MaskToArray::kName, shape[2], shape[3]);
  MaskToArray op{mask.operand(runtime, MaskToArray::kName, offsets, shape[0], shape[1]), offsets};
  op.out = runtime.make(offsets, DType::kInt32, shape);
  runtime.submit(op);
  return op.out;
}

Tensor* count_mask_tiles(Runtime& runtime, const MaskExpression& mask, const Tensor* offsets, const Shape& shape) {
  check_int32_vector(CountMaskTiles::kName, "offsets", offsets, shape[0]);
  mask.check_extent(CountMaskTiles::kName, shape[2], shape[3]);
  CountMaskTiles op{mask.operand(runtime, CountMaskTiles::kName, offsets, shape[0], shape[1]), offsets, shape[2],
                    shape[3]};
  op.out = runtime.make(offsets, DType::kInt32, Shape{shape[0], shape[1], (op.queries + 63) / 64, 4});
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
