#include "ops/token_report.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* token_report(Runtime& runtime, TokenReport op) {
  constexpr auto kName = TokenReport::kName;
  check_logits(kName, op.logits);
  const int64_t rows = op.logits->shape[0], vocabulary = op.logits->shape[1];
  check_int32_vector(kName, "tokens", op.tokens, rows);
  const int64_t most = std::min(vocabulary, TokenReport::kMaxAlternatives);
  if (op.alternatives < 0 || op.alternatives > most) {
    throw_range_error("[token_report] alternatives must be from 0 to ", most, " but got ", op.alternatives);
  }
  op.logits = dense(runtime, op.logits);
  op.out = runtime.make(op.logits, DType::kInt32, Shape{rows, 2 + 2 * op.alternatives});
  runtime.submit(op);
  return op.out;
}

void TokenReport::fail(int64_t row, int32_t token) const {
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE",
              concat("[token_report] tokens[", row, "] = ", token, " is outside the vocabulary of ", logits->shape[1],
                     " tokens"));
}

}  // namespace heddle
