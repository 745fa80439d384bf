#include "ops/sample.h"

#include <cmath>

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Tensor* sample(Runtime& runtime, Sample op) {
  check_strided(Sample::kName, "logits", op.logits);
  check_dtype(Sample::kName, "logits", op.logits, DType::kFloat32);
  check_rank(Sample::kName, "logits", op.logits, 2, 2);
  const int64_t rows = op.logits->shape[0];
  if (op.logits->shape[1] == 0) throw_range_error("[sample] logits have no tokens: shape ", op.logits->shape);
  check_strided(Sample::kName, "keys", op.keys);
  check_dtype(Sample::kName, "keys", op.keys, DType::kInt32);
  check_shape(Sample::kName, "keys", op.keys, Shape{rows, 3});
  check_dense(Sample::kName, "keys", op.keys);
  check_int32_vector(Sample::kName, "steps", op.steps, rows);
  if (!(op.temperature > 0) || std::isinf(op.temperature)) {
    throw_range_error("[sample] temperature must be a finite number above 0 but got ", op.temperature);
  }
  if (!(op.top_p > 0 && op.top_p <= 1)) throw_range_error("[sample] topP must be in (0, 1] but got ", op.top_p);
  if (op.top_k < 0) throw_range_error("[sample] topK must be at least 0 (0: off) but got ", op.top_k);
  op.logits = dense(runtime, op.logits);
  op.out = runtime.make(op.logits, DType::kInt32, Shape{rows});
  runtime.submit(op);
  return op.out;
}

void Sample::fail(int64_t row) const {
  throw Error(ErrorKind::kRange, "NO_CHOICE",
              concat("[sample] the logits of row ", row, " have NaN or no finite maximum: nothing can be drawn"));
}

void end_of_sequence(Runtime& runtime, const EndOfSequence& op) {
  const int64_t rows = op.tokens->numel();
  check_int32_vector(EndOfSequence::kName, "chosen", op.chosen, rows);
  check_int32_vector(EndOfSequence::kName, "tokens", op.tokens, rows);
  check_int32_vector(EndOfSequence::kName, "finished", op.finished, rows);
  check_int32_vector(EndOfSequence::kName, "ends", op.ends, op.ends->numel());
  runtime.submit(op);
}

}  // namespace heddle
