#include "ops/process_logits.h"

#include <cstring>

#include "ops/checks.h"
#include "ops/elementwise.h"

namespace heddle {
namespace {

constexpr auto kName = ProcessLogits::kName;

/// What a kind's words are and what it needs.
struct Signature {
  const char* name;
  const char* words;  // r: a float32, n: a whole number of at least 0, k: of at least 1, d: a float64, t: a token; the
                      // last repeats if a * follows; g: the groups of kBias
  bool history = false, prompt = false, most = false, source = false, group = false, draws = false, mu = false;
};

constexpr Signature plain(const char* name, const char* words) { return {name, words}; }
constexpr Signature of_history(const char* name, const char* words, bool prompt = false, bool most = false) {
  return {name, words, true, prompt, most};
}

/// By kind.
constexpr Signature kSignatures[] = {
    plain("logSoftmax", ""),
    plain("bias", "g"),  // and, where it has prefixes, history
    of_history("repetitionPenalty", "rn"),
    {"encoderRepetitionPenalty", "r", false, false, false, true},
    of_history("frequencyPenalty", "rrnn", true),
    {"hammingDiversity", "r", false, false, false, false, true},
    of_history("noRepeatNgram", "k"),
    {"encoderNoRepeatNgram", "k", true, false, false, true},
    of_history("dry", "rrnnt*"),
    of_history("minLength", "nt*"),
    of_history("minNewTokens", "nt*", true),
    of_history("forcedBos", "t"),
    of_history("forcedEos", "t*", false, true),
    plain("suppress", "t*"),
    of_history("beginSuppress", "nt*", true),
    plain("removeInvalid", ""),
    of_history("exponentialDecay", "ndt*", true),
    plain("temperature", "r"),
    plain("dynamicTemperature", "rrr"),
    plain("topK", "k"),
    plain("topP", "rk"),
    plain("minP", "rk"),
    plain("typicalP", "rk"),
    plain("epsilonCutoff", "rk"),
    plain("etaCutoff", "rk"),
    plain("topNSigma", "r"),
    {"xtc", "rr", false, false, false, false, false, true},
    {"mirostat", "", false, false, false, false, false, false, true},
};
static_assert(std::size(kSignatures) == static_cast<size_t>(ProcessorKind::kCount));

void check_token(const char* name, int32_t token, int64_t vocabulary) {
  if (token >= 0 && token < vocabulary) return;
  throw_range_error("[process_logits] ", name, ": token ", token, " is outside the vocabulary of ", vocabulary,
                    " tokens");
}

[[noreturn]] void fail_code(const char* name) {
  throw_range_error("[process_logits] the chain's code is not well formed at ", name);
}

/// The groups of kBias: each lies where it is said to, and names tokens of the vocabulary.
void check_groups(const int32_t* words, int64_t size, int64_t vocabulary, bool has_history) {
  constexpr auto kBiasName = "bias";
  const auto word = [&](int64_t at) {
    if (at < 0 || at >= size) fail_code(kBiasName);
    return words[at];
  };
  for (int64_t g = 0; g < word(0); ++g) {
    int64_t at = word(1 + g);
    check_token(kBiasName, word(at), vocabulary);
    const int32_t biases = word(at + 1);
    at += 2;
    for (int32_t b = 0; b < biases; ++b) {
      const int32_t prefix = word(at + 1);
      if (prefix < 0) fail_code(kBiasName);
      if (prefix > 0 && !has_history) throw_type_error("[process_logits] bias of sequences needs history");
      at += 2 + prefix;
    }
    if (biases < 0 || at > size) fail_code(kBiasName);
  }
}

void check_piece(const Signature& signature, const int32_t* words, int64_t size, const ProcessLogits& op) {
  const int64_t vocabulary = op.logits->shape[1];
  int64_t at = 0;
  const char* letter = signature.words;
  for (; *letter != '\0' && letter[1] != '*'; ++letter) {
    const int64_t length = *letter == 'd' ? 2 : *letter == 'g' ? size : 1;
    if (at + length > size) fail_code(signature.name);
    if (*letter == 'g') check_groups(words, size, vocabulary, op.history != nullptr);
    if (*letter == 't') check_token(signature.name, words[at], vocabulary);
    if ((*letter == 'n' && words[at] < 0) || (*letter == 'k' && words[at] < 1)) fail_code(signature.name);
    at += length;
  }
  const bool repeats = *letter != '\0';
  if (!repeats && at != size) fail_code(signature.name);
  for (; repeats && at < size; ++at) check_token(signature.name, words[at], vocabulary);
}

void check_needs(const Signature& signature, const ProcessLogits& op) {
  const auto check = [&](bool needed, const Tensor* given, const char* argument) {
    if (needed && !given) throw_type_error("[process_logits] ", signature.name, " needs ", argument);
  };
  check(signature.history, op.history, "history");
  check(signature.history, op.lengths, "lengths");
  check(signature.prompt, op.prompt_lengths, "promptLengths");
  check(signature.most, op.max_lengths, "maxLengths");
  check(signature.source, op.source, "source");
  check(signature.source, op.source_lengths, "sourceLengths");
  check(signature.group, op.group_tokens, "groupTokens");
  check(signature.draws, op.keys, "keys");
  check(signature.draws, op.steps, "steps");
  check(signature.mu, op.mu, "mu");
}

void check_code(const int32_t* code, int64_t words, const ProcessLogits& op) {
  for (int64_t at = 0; at < words;) {
    const bool has_head = words - at >= 2;
    const bool is_known = has_head && code[at] >= 0 && code[at] < static_cast<int32_t>(ProcessorKind::kCount);
    if (!is_known || code[at + 1] < 0 || code[at + 1] > words - at - 2) fail_code("a piece's head");
    const Signature& signature = kSignatures[code[at]];
    check_piece(signature, code + at + 2, code[at + 1], op);
    check_needs(signature, op);
    at += 2 + code[at + 1];
  }
}

/// A dense int32 tensor [R, n] of any n.
void check_tokens(const char* argument, const Tensor* tokens, int64_t rows) {
  check_strided(kName, argument, tokens);
  check_dtype(kName, argument, tokens, DType::kInt32);
  check_rank(kName, argument, tokens, 2, 2);
  check_shape(kName, argument, tokens, Shape{rows, tokens->shape[1]});
  check_dense(kName, argument, tokens);
}

void check_divides(const char* argument, int64_t count, int64_t rows) {
  if (count > 0 ? rows % count == 0 : rows == 0) return;
  throw_range_error("[process_logits] ", rows, " rows are no multiple of the ", count, " of ", argument);
}

void check_state(const ProcessLogits& op, int64_t sequences, int64_t rows) {
  if (op.history) check_tokens("history", op.history, sequences);
  if (op.history && !op.lengths) throw_type_error("[process_logits] history needs lengths");
  if (op.lengths) check_int32_vector(kName, "lengths", op.lengths, sequences);
  if (op.prompt_lengths) check_int32_vector(kName, "promptLengths", op.prompt_lengths, sequences);
  if (op.max_lengths) check_int32_vector(kName, "maxLengths", op.max_lengths, sequences);
  if (op.source) {
    check_tokens("source", op.source, op.source->shape.rank() == 2 ? op.source->shape[0] : 0);
    if (!op.source_lengths) throw_type_error("[process_logits] source needs sourceLengths");
    check_divides("source", op.source->shape[0], sequences);
    check_int32_vector(kName, "sourceLengths", op.source_lengths, op.source->shape[0]);
  }
  if (op.group_tokens) {
    check_tokens("groupTokens", op.group_tokens, op.group_tokens->shape.rank() == 2 ? op.group_tokens->shape[0] : 0);
    check_divides("groupTokens", op.group_tokens->shape[0], rows);
  }
  if (op.keys) {
    check_tokens("keys", op.keys, sequences);
    check_shape(kName, "keys", op.keys, Shape{sequences, 3});
    if (!op.steps) throw_type_error("[process_logits] keys need steps");
  }
  if (op.steps) check_int32_vector(kName, "steps", op.steps, sequences);
  if (op.mu) check_float32_vector(kName, "mu", op.mu, sequences);
}

}  // namespace

Tensor* process_logits(Runtime& runtime, ProcessLogits op, const int32_t* code, int64_t words) {
  check_logits(kName, op.logits);
  if (op.rows) check_int32_vector(kName, "rows", op.rows, op.rows->numel());
  const int64_t sequences = op.logits->shape[0], rows = op.rows ? op.rows->numel() : sequences;
  check_state(op, sequences, rows);
  check_code(code, words, op);
  op.logits = dense(runtime, op.logits);
  op.code = runtime.make_filled(op.logits, DType::kInt32, Shape{words}, code);
  op.out = runtime.make(op.logits, DType::kFloat32, Shape{rows, op.logits->shape[1]});
  runtime.submit(op);
  return op.out;
}

void ProcessLogits::fail(Fault fault, int64_t index, int32_t value) const {
  const std::string what =
      fault == Fault::kIndex
          ? concat("rows[", index, "] must be in [0, ", logits->shape[0], ") but got ", value)
          : concat("a length of sequence ", index, " is ", value, ": below 0, or more than there is room for");
  throw Error(ErrorKind::kRange, "INDEX_OUT_OF_RANGE", concat("[process_logits] ", what));
}

}  // namespace heddle
