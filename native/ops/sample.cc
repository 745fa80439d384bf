#include "ops/sample.h"

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {

Sample sample(Runtime& runtime, Sample op, bool wants_log_probs) {
  check_logits(Sample::kName, op.scores);
  const int64_t rows = op.scores->shape[0];
  check_strided(Sample::kName, "keys", op.keys);
  check_dtype(Sample::kName, "keys", op.keys, DType::kInt32);
  check_shape(Sample::kName, "keys", op.keys, Shape{rows, 3});
  check_dense(Sample::kName, "keys", op.keys);
  check_int32_vector(Sample::kName, "steps", op.steps, rows);
  if (op.mu) check_float32_vector(Sample::kName, "mu", op.mu, rows);
  op.scores = dense(runtime, op.scores);
  op.out = runtime.make(op.scores, DType::kInt32, Shape{rows});
  if (wants_log_probs) op.log_probs = runtime.make(op.scores, DType::kFloat32, Shape{rows});
  runtime.submit(op);
  return op;
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
