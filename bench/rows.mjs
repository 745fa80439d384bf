// What `npm run bench` measures of heddle, as rows for bench/turns.mjs. A row has the operations that it must do and the
// fewest bytes that it must move, whichever bound it, the kind of its operations (`computes`) and of its moves (reading, if
// it is not told).
import { flopsOfPrompt, MODELS, weightsOfStep } from './random-models.mjs';

export const BYTES = { float32: 4, bfloat16: 2, float16: 2, int8: 1, int4: 17 / 32 }; // int4: a multiplier for 32 weights

// Operands taken from so many sets in turn that caches of a core cannot hold them, as in a model, whose layers follow
// each other.
const COLD_BYTES = 420e6;
const coldSets = (bytes) => Math.ceil(COLD_BYTES / bytes);

/** A few long samples instead of many short ones. */
export const SLOW = { rounds: 5, turnMs: 1 };

export const ours = (task) => ({ label: 'heddle', engine: 'heddle', task });

function linear(m, k, n, dtype) {
  const bytes = BYTES[dtype] * n * k;
  const isCold = m <= 16; // bound by memory
  return {
    id: `linear ${m}x${k}x${n} ${dtype}${isCold ? ' rotating' : ''}`,
    flops: 2 * m * k * n,
    bytes: isCold ? bytes : 0,
    computes: dtype,
    contenders: [ours({ kind: 'linear', m, k, n, dtype, sets: isCold ? coldSets(bytes) : 1 })],
  };
}

/** Causal ones count as half a square, as is the custom. */
export const attentionFlops = (mask, heads, length, width) =>
  (4 * heads * length * length * width) / (mask === 'causal' ? 2 : 1);

function attention(mask, heads, length, width, dtype) {
  return {
    id: `attention ${mask} H${heads} D${width} T${length} ${dtype}`,
    flops: attentionFlops(mask, heads, length, width),
    computes: dtype,
    contenders: [ours({ kind: 'attention', mask, heads, length, width, dtype })],
  };
}

/** An op that does little with what it moves: `moved` numbers for each of x [rows, width], read or written. */
function streamed(kind, rows, width, { isCold = true, moved = 2, note = '', ...options } = {}) {
  const bytesOfInput = BYTES.float32 * rows * width;
  const sets = isCold ? coldSets(bytesOfInput) : 1;
  return {
    id: `${kind} ${rows}x${width} float32 ${note}${isCold ? 'rotating' : 'resident'}`,
    bytes: moved * bytesOfInput,
    moves: moved > 1 ? 'copy' : 'memory',
    task: { kind, rows, width, sets, ...options },
  };
}

export const layerNorm = (rows, width, isCold) => streamed('layerNorm', rows, width, { isCold });

/** Tokens looked up all over a table. */
function embedding(tokens, vocabulary, width) {
  return {
    id: `embedding ${tokens} of ${vocabulary}x${width} float32`,
    bytes: 2 * BYTES.float32 * tokens * width,
    moves: 'copy',
    task: { kind: 'embedding', tokens, vocabulary, width },
  };
}

function* streamedOps() {
  for (const rows of [128, 2048]) for (const width of [768, 4096]) yield layerNorm(rows, width, false);
  yield layerNorm(2048, 768, true);
  for (const kind of ['rmsNorm', 'softmax', 'gelu', 'rope']) yield streamed(kind, 2048, 768);
  yield streamed('gated', 2048, 2048, { moved: 3 });
  yield embedding(2048, 32000, 768);
  yield streamed('argmax', 8, 32000, { moved: 1 });
  for (const [note, options] of [
    ['', {}],
    ['topK ', { topK: 50 }],
    ['topP ', { topP: 0.9 }],
  ]) {
    yield streamed('sample', 8, 32000, { moved: 1, note, options });
  }
}

// What patterns of attention cost, by length.
const PATTERNS = {
  'sliding window 256': { mask: 'window', window: 256 },
  'window 256 + 8 global': { mask: 'longformer', window: 256 },
  causal: { mask: 'causal', longest: 4096 },
  dense: { mask: 'dense', longest: 4096 },
};
const TILE = 64;

function* patterns() {
  const [heads, width] = [4, 64];
  for (const length of [512, 1024, 2048, 4096, 8192, 16384]) {
    for (const [name, { longest = Infinity, ...options }] of Object.entries(PATTERNS)) {
      if (length > longest) continue;
      const task = { kind: 'attention', heads, length, width, dtype: 'float32', ...options };
      // A process of their own, whose peak of memory is theirs.
      const contenders = [{ ...ours(task), engine: 'patterns' }];
      yield {
        id: `pattern ${name} T${length}`,
        threads: [1],
        computes: 'float32',
        flopsOfTile: 4 * TILE * TILE * width,
        contenders,
      };
    }
  }
}

export const prefillRow = (model, tokens, dtype, quantize) => ({
  id: `${model} prefill ${tokens} ${quantize ?? dtype}`,
  flops: flopsOfPrompt(MODELS[model], tokens),
  computes: quantize ? 'int8' : dtype, // quantized weights meet activations of 8 bits
  tokens,
  task: { kind: 'prefill', model, tokens, dtype, quantize },
  ...SLOW,
});

/** A step reads the weights: beside it, memory of that size is read. */
export const decodeRow = (model, tokens, dtype, quantize) => {
  const bytes = Math.round(BYTES[quantize ?? dtype] * weightsOfStep(MODELS[model]));
  return {
    id: `${model} decode ${tokens} ${quantize ?? dtype}`,
    bytes,
    tokens: 1,
    reading: { label: 'reading as many bytes', engine: 'ceilings', task: { bytes } },
    task: { kind: 'decode', model, tokens, dtype, quantize },
    ...SLOW,
  };
};

export const encodeRow = (model, tokens, dtype, quantize) => ({
  id: `${model} ${tokens} tokens ${quantize ?? dtype}`,
  flops: flopsOfPrompt(MODELS[model], tokens),
  computes: quantize ? 'int8' : dtype,
  tokens,
  task: { kind: 'encode', model, tokens, dtype, quantize },
  ...SLOW,
});

/** A row of heddle alone, and of reading. */
const alone = ({ task, reading, ...row }) => ({ ...row, contenders: [ours(task), ...(reading ? [reading] : [])] });

/** Weights of a float32 model that are replaced leave its activations float32. */
export const CONFIGURATIONS = [['float32'], ['bfloat16'], ['float32', 'int8'], ['float32', 'int4']];

/** Rows that say how a step is spent, and what becomes of the event loop. */
export function* behaviour() {
  const model = 'llama-110M';
  for (const [dtype, quantize] of CONFIGURATIONS) {
    const task = { kind: 'decode', model, tokens: 64, dtype, quantize, isProfiled: true };
    yield { id: `${model} step beyond kernels ${quantize ?? dtype}`, tokens: 1, contenders: [ours(task)], ...SLOW };
  }
  const contenders = [
    ours({ kind: 'timerBesideWork', model, tokens: 512, dtype: 'float32' }),
    { label: 'plain busy threads', engine: 'heddle', task: { kind: 'timerBesideThreads' } },
  ];
  yield { id: 'timer of 5 ms beside prefill, p99 lateness', contenders, ...SLOW };
}

function* models() {
  const builtin = {
    kind: 'decode',
    model: 'builtin:shakespeare',
    dtype: 'float32',
    prompt: 7,
    tokens: 240,
    isProfiled: true,
  };
  yield { id: 'shakespeare decode 240 float32', tokens: 1, contenders: [ours(builtin)], ...SLOW };
  for (const dtype of ['float32', 'bfloat16', 'float16']) {
    const model = 'gpt2-124M';
    yield { id: `${model} load ${dtype}`, contenders: [ours({ kind: 'load', model, dtype })], ...SLOW };
    for (const tokens of [128, 512, 2047]) yield alone(prefillRow(model, tokens, dtype));
    yield alone(decodeRow(model, 32, dtype));
  }
  for (const [dtype, quantize] of CONFIGURATIONS) {
    yield alone(prefillRow('llama-110M', 512, dtype, quantize));
    yield alone(decodeRow('llama-110M', 64, dtype, quantize));
  }
  for (const quantize of [undefined, 'int8']) yield alone(encodeRow('bert-base', 128, 'float32', quantize));
}

function* everything() {
  for (const dtype of ['float32', 'bfloat16']) {
    for (const m of [1, 16, 128]) yield linear(m, 768, 3072, dtype);
    yield linear(512, 3072, 768, dtype);
    yield linear(512, 4096, 4096, dtype);
  }
  for (const dtype of ['float32', 'bfloat16']) {
    for (const mask of ['dense', 'causal']) {
      for (const length of [128, 512, 2048]) yield attention(mask, 12, length, 64, dtype);
      yield attention(mask, 32, 512, 128, dtype);
    }
  }
  for (const row of streamedOps()) yield alone(row);
  yield* patterns();
  yield* models();
  yield* behaviour();
}

export const rows = [...everything()];
