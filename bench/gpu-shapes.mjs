// What `bench/gpu.mjs` measures, as rows that gpu_peers.py reads too: shapes, the operations that a row must do and the
// fewest bytes that it must move. All of bfloat16, where a row does not say otherwise.

const BYTES = 2; // of an element
const H = 32;
const WINDOW = 512;
const DOCUMENTS = 8; // of equal length

// Inputs are taken from so many sets in turn that caches cannot hold them, as in a model, whose layers follow each other.
const CACHE_BYTES = 192 * 2 ** 20;
const MAX_SETS = 16;
const setsFor = (bytes) => Math.min(MAX_SETS, Math.max(1, Math.ceil(CACHE_BYTES / bytes)));

/** Pairs of query and key that a mask keeps. Causal ones count as half a square, as is the custom. */
const PAIRS = {
  dense: (T) => T * T,
  causal: (T) => (T * T) / 2,
  window: (T, { window }) => T * window - (window * window) / 2,
  documents: (T, { documents }) => (T * T) / documents / 2,
};

function attention(mask, T, D, heads, kvHeads, sizes) {
  const bytes = BYTES * T * D * (2 * heads + 2 * kvHeads);
  return {
    id: `attention ${mask} T=${T} D=${D} H=${heads} Hkv=${kvHeads}`,
    kind: 'attention',
    ...{ mask, T, D, H: heads, Hkv: kvHeads, ...sizes, sets: 1 },
    flops: 4 * heads * D * PAIRS[mask](T, sizes),
    bytes,
  };
}

function decode(batch, keys, D, heads, kvHeads) {
  const bytes = BYTES * batch * D * (2 * keys * kvHeads + 2 * heads);
  return {
    id: `decode batch=${batch} keys=${keys} D=${D} H=${heads} Hkv=${kvHeads}`,
    kind: 'decode',
    ...{ batch, keys, D, H: heads, Hkv: kvHeads, sets: setsFor(bytes) },
    flops: 4 * batch * heads * keys * D,
    bytes,
  };
}

function layerNorm(rows, width) {
  const bytes = BYTES * (2 * rows * width + 2 * width);
  return {
    id: `layer_norm ${rows}x${width}`,
    kind: 'layer_norm',
    ...{ rows, width, sets: setsFor(bytes) },
    flops: 8 * rows * width,
    bytes,
  };
}

function linear(m, k, n) {
  const bytes = BYTES * (n * k + m * (k + n));
  return {
    id: `linear ${m}x${k}x${n}`,
    kind: 'linear',
    ...{ m, k, n, sets: setsFor(bytes) },
    flops: 2 * m * k * n,
    bytes,
  };
}

// Of a weight, with int4's multipliers.
const QUANTIZED_BYTES = { int8: 1, int4: 0.53125 };

function quantizedLinear(quantize, m, k, n) {
  const bytes = QUANTIZED_BYTES[quantize] * n * k + 4 * n + BYTES * m * (k + n);
  return {
    id: `linear ${quantize} ${m}x${k}x${n}`,
    kind: 'quantized_linear',
    ...{ quantize, m, k, n, sets: setsFor(bytes) },
    flops: m * k * n, // half, as it were: matrix units multiply bytes twice as fast as what the roof is of
    bytes,
  };
}

function rmsNorm(rows, width) {
  const bytes = BYTES * (2 * rows * width + width);
  return {
    id: `rms_norm ${rows}x${width}`,
    kind: 'rms_norm',
    rows,
    width,
    sets: setsFor(bytes),
    flops: 4 * rows * width,
    bytes,
  };
}

/** A token of each row of float32 logits: temperature, top-k, top-p and the draw, or some of them. */
function sample(rows, vocabulary, processors) {
  return {
    id: `sample ${rows}x${vocabulary} ${processors.join(' ')}`.trim(),
    kind: 'sample',
    ...{ rows, vocabulary, processors, sets: 1 },
    flops: 0,
    bytes: 4 * rows * vocabulary,
  };
}

/** Reads and writes so many elements: what memory gives. */
const copy = (elements) => ({
  id: `copy ${elements}`,
  kind: 'copy',
  ...{ elements, sets: 1 },
  flops: 0,
  bytes: 2 * BYTES * elements,
});

const SAMPLING = [[], ['topK'], ['topP'], ['minP'], ['temperature', 'topK', 'topP']];

const prefill = (tokens) => ({ id: `prefill ${tokens}`, kind: 'prefill', tokens });
const generate = (batch, tokens) => ({ id: `generate ${batch}x${tokens}`, kind: 'generate', batch, tokens });

function* everything() {
  yield copy(2 ** 28);
  for (const mask of Object.keys(PAIRS)) {
    for (const D of [64, 128]) {
      for (const kvHeads of [8, 32]) {
        for (const T of [512, 1024, 2048, 4096, 8192, 16384]) {
          if (mask === 'window' && T <= WINDOW) continue; // is causal
          yield attention(mask, T, D, H, kvHeads, { window: WINDOW, documents: DOCUMENTS });
        }
      }
    }
  }
  for (const D of [64, 128]) for (const batch of [1, 4, 16, 64]) yield decode(batch, 4096, D, H, 8);
  for (const rows of [1, 512, 8192, 65536]) for (const width of [768, 1024, 4096]) yield layerNorm(rows, width);
  for (const width of [64, 128, 1024, 4096, 16384]) yield rmsNorm(2 ** 26 / width, width);
  for (const n of [4096, 11008]) for (const m of [1, 4, 16, 64, 256, 1024, 4096, 8192]) yield linear(m, 4096, n);
  for (const quantize of ['int8', 'int4']) {
    for (const n of [4096, 11008]) for (const m of [1, 4, 16, 64, 4096]) yield quantizedLinear(quantize, m, 4096, n);
  }
  for (const rows of [1, 16]) for (const processors of SAMPLING) yield sample(rows, 128256, processors);
  for (const tokens of [128, 512, 1023]) yield prefill(tokens);
  for (const batch of [1, 16, 64]) yield generate(batch, 64);
}

/** Tries the scripts, on a simulated device: nothing is measured. */
function* little() {
  yield copy(4096);
  for (const mask of Object.keys(PAIRS)) yield attention(mask, 64, 64, 2, 1, { window: 16, documents: 4 });
  yield attention('causal', 96, 128, 2, 2, { window: 16, documents: 4 });
  yield { ...decode(2, 64, 64, 2, 1), sets: 2 };
  yield { ...layerNorm(4, 64), sets: 2 };
  yield { ...rmsNorm(4, 64), sets: 2 };
  yield { ...linear(3, 64, 128), sets: 2 };
  for (const quantize of ['int8', 'int4']) yield { ...quantizedLinear(quantize, 3, 64, 128), sets: 2 };
  for (const processors of SAMPLING) yield sample(2, 101, processors);
  yield prefill(7);
  yield generate(2, 2);
}

const isSmall = process.env.HEDDLE_BENCH === 'small';

export const rows = [...(isSmall ? little() : everything())];
export const settings = isSmall
  ? {
      isSmall,
      roundMs: 0,
      poolElements: 2 ** 16,
      model: { width: 48, layers: 2, heads: 3, context: 64, vocabulary: 101 },
    }
  : {
      isSmall,
      roundMs: 20,
      poolElements: 2 ** 28,
      model: { width: 768, layers: 12, heads: 12, context: 1024, vocabulary: 50257 },
    };
