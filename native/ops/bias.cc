#include "ops/bias.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

bool fits(int64_t size, int64_t wanted) { return size == 1 || size == wanted; }

void check_data(const char* function, BiasKind kind, const Tensor* data, const Tensor* q, int64_t batch,
                int64_t kv_heads) {
  if (!data) throw_range_error("[", function, "] bias names a tensor that is not there");
  check_strided(function, "bias", data);
  check_dtype(function, "bias", data, DType::kFloat32);
  const int rank = kind == BiasKind::kAlibi ? 1 : kind == BiasKind::kByDistance ? 2 : 4;
  check_rank(function, "bias", data, rank, rank);
  const Shape& shape = data->shape;
  const int64_t heads = q->shape[2];
  bool good = true;
  switch (kind) {
    case BiasKind::kAlibi:
      good = shape[0] == heads;
      break;
    case BiasKind::kByDistance:
      good = fits(shape[0], heads) && shape[1] > 0;
      break;
    case BiasKind::kByQuery:
      good = shape[0] == q->shape[0] && shape[1] == q->shape[1] && shape[2] == heads && shape[3] > 0;
      break;
    case BiasKind::kByKey:
      good = shape[0] == batch && shape[2] == kv_heads && shape[3] > 0;
      break;
    case BiasKind::kDense:
      good = fits(shape[0], batch) && fits(shape[1], heads);
      break;
  }
  if (good) return;
  throw_range_error("[", function, "] bias of shape ", shape, " does not fit ", batch, " sequences, ", heads,
                    " query heads and ", kv_heads, " key heads");
}

void check_positions(const char* function, const char* argument, const Tensor* positions, int low, int high) {
  check_strided(function, argument, positions);
  check_dense(function, argument, positions);
  check_dtype(function, argument, positions, DType::kInt32);
  check_rank(function, argument, positions, low, high);
}

}  // namespace

BiasOperand BiasExpression::operand(Runtime& runtime, const char* function, const Tensor* q, int64_t batch,
                                    int64_t kv_heads) const {
  BiasOperand operand;
  if (!code) return operand;
  if (terms < 1 || terms > static_cast<int64_t>(BiasOperand::kMaxData)) {
    throw_range_error("[", function, "] bias has ", terms, " terms but may have 1 to ", BiasOperand::kMaxData);
  }
  for (int64_t i = 0; i < terms; ++i) {
    const int32_t* row = code + 4 * i;
    if (row[0] < 0 || row[0] > static_cast<int32_t>(BiasKind::kDense)) {
      throw_range_error("[", function, "] bias has a term of unknown kind ", row[0]);
    }
    const bool named = row[1] >= 0 && row[1] < static_cast<int32_t>(BiasOperand::kMaxData);
    check_data(function, static_cast<BiasKind>(row[0]), named ? data[row[1]] : nullptr, q, batch, kv_heads);
  }
  for (int64_t i = 0; i < terms; ++i) {
    const Tensor*& one = operand.data[code[4 * i + 1]] = data[code[4 * i + 1]];
    if (static_cast<BiasKind>(code[4 * i]) != BiasKind::kDense) one = dense(runtime, one);
  }
  if (query_positions) {
    check_positions(function, "queryPositions", query_positions, 1, 2);
    if (query_positions->numel() != q->shape[0] * q->shape[1]) {
      throw_range_error("[", function, "] queryPositions must have one position for each of ",
                        q->shape[0] * q->shape[1], " queries but has shape ", query_positions->shape);
    }
  }
  if (key_positions) {
    check_positions(function, "keyPositions", key_positions, 2, 2);
    if (!fits(key_positions->shape[0], batch) || key_positions->shape[1] == 0) {
      throw_range_error("[", function, "] keyPositions of shape ", key_positions->shape, " does not fit ", batch,
                        " sequences");
    }
  }
  operand.query_positions = query_positions;
  operand.key_positions = key_positions;
  operand.code = runtime.make_filled(q, DType::kInt32, Shape{terms, 4}, code);
  return operand;
}

void BiasExpression::check_extent(const char* function, int64_t queries, int64_t keys) const {
  for (int64_t i = 0; i < terms; ++i) {
    const auto kind = static_cast<BiasKind>(code[4 * i]);
    const Tensor* one = data[code[4 * i + 1]];
    const bool good = kind == BiasKind::kDense   ? fits(one->shape[2], queries) && fits(one->shape[3], keys)
                      : kind == BiasKind::kByKey ? one->shape[1] == keys
                                                 : true;
    if (good) continue;
    throw_range_error("[", function, "] bias of shape ", one->shape, " does not fit ", queries, " queries and ", keys,
                      " keys");
  }
  if (key_positions && key_positions->shape[1] != keys) {
    throw_range_error("[", function, "] keyPositions of shape ", key_positions->shape, " does not fit ", keys, " keys");
  }
}

}  // namespace heddle
