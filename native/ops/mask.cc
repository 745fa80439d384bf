#include "ops/mask.h"

#include "ops/checks.h"

namespace heddle {
namespace {

/// Tensors that a piece names, by its kind: see MaskKind.
void check_data(const char* function, MaskKind kind, const Tensor* data, int64_t batch, int64_t heads) {
  if (!data) throw_range_error("[", function, "] mask names a tensor that is not there");
  check_strided(function, "mask", data);
  check_dense(function, "mask", data);
  check_dtype(function, "mask", data, kind == MaskKind::kDense ? DType::kBool : DType::kInt32);
  const int rank = kind == MaskKind::kDense ? 4 : kind == MaskKind::kDocuments ? 2 : 1;
  check_rank(function, "mask", data, rank, rank);
  const Shape& shape = data->shape;
  if (kind != MaskKind::kGlobal && shape[0] != 1 && shape[0] != batch) {
    throw_range_error("[", function, "] mask of shape ", shape, " does not fit ", batch, " sequences");
  }
  if (kind == MaskKind::kDense && shape[1] != 1 && shape[1] != heads) {
    throw_range_error("[", function, "] dense mask of shape ", shape, " does not fit ", heads, " heads");
  }
}

}  // namespace

void check_mask(const char* function, const MaskOperand& mask, int64_t batch, int64_t heads) {
  if (!mask.code) return;
  check_strided(function, "mask", mask.code);
  check_dtype(function, "mask", mask.code, DType::kInt32);
  const int64_t nodes = mask.code->shape[0];
  check_shape(function, "mask", mask.code, Shape{nodes, 4});
  if (nodes < 1 || nodes > MaskOperand::kMaxNodes) {
    throw_range_error("[", function, "] mask has ", nodes, " pieces and combinations but may have 1 to ",
                      MaskOperand::kMaxNodes);
  }
  // The code is a constant, made by the caller a moment ago: it can be read here, and then trusted by kernels.
  const auto* code = static_cast<const int32_t*>(mask.code->storage->data);
  for (int64_t i = 0; i < nodes; ++i) {
    const auto kind = static_cast<MaskKind>(code[4 * i]);
    const int32_t a = code[4 * i + 1], b = code[4 * i + 2];
    switch (kind) {
      case MaskKind::kCausal:
      case MaskKind::kWindow:
        break;
      case MaskKind::kPrefix:
      case MaskKind::kDocuments:
      case MaskKind::kGlobal:
      case MaskKind::kDense:
        check_data(function, kind, a >= 0 && a < 4 ? mask.data[a] : nullptr, batch, heads);
        break;
      case MaskKind::kAnd:
      case MaskKind::kOr:
      case MaskKind::kNot:
        if (a < 0 || a >= i || b < 0 || b >= i) throw_range_error("[", function, "] mask is not a tree");
        break;
      default:
        throw_range_error("[", function, "] mask has a piece of unknown kind ", code[4 * i]);
    }
  }
}

Tensor* mask_to_array(Runtime& runtime, MaskToArray op, const Shape& shape) {
  check_mask(MaskToArray::kName, op.mask, shape[0], shape[1]);
  check_int32_vector(MaskToArray::kName, "offsets", op.offsets, shape[0]);
  op.out = runtime.make(op.offsets, DType::kInt32, shape);
  runtime.submit(op);
  return op.out;
}

Tensor* count_mask_tiles(Runtime& runtime, CountMaskTiles op, int64_t batch, int64_t heads) {
  check_mask(CountMaskTiles::kName, op.mask, batch, heads);
  check_int32_vector(CountMaskTiles::kName, "offsets", op.offsets, batch);
  op.out = runtime.make(op.offsets, DType::kInt32, Shape{batch, heads, (op.queries + 63) / 64, 4});
  runtime.submit(op);
  return op.out;
}

}  // namespace heddle
