import {
  activation,
  add,
  attention,
  cast,
  crossEntropy,
  defaultDevice,
  devices,
  gelu,
  KVCache,
  layerNorm,
  linear,
  logSumExp,
  mask,
  matmul,
  packWeight,
  processLogits,
  processorsOf,
  rmsNorm,
  rope,
  setNumThreads,
  softmax,
  sum,
  tensor,
  topK,
  type CacheDType,
  type FloatDType,
  type Tensor,
} from '#lib/index';
import { drawTokens } from '#lib/ops/sample';
import { tokenReport } from '#lib/ops/token-report';
import { FLOATS, HALVES, numbersOf, rounded } from './dtype';
import { expectAsGoodAsPlain } from './naive';
import * as naive from './naive';
import { Random } from './random';

// For a process of its own, one for each instruction set: a row must have the same bytes alone and in a batch, with one
// thread and with four, and with the queries whole and in chunks. Prints what differs, as JSON.

const BATCH = 8;
/** Of what caches may be beside a dtype. */
const CACHES: Record<FloatDType, readonly CacheDType[]> = {
  float32: ['float32', 'bfloat16', 'int8'],
  float16: ['float16', 'int8'],
  bfloat16: ['bfloat16', 'int8'],
};
const THREADS = defaultDevice() === 'cpu' ? [1, 2, 4] : [1];
const CHUNKS = [1, 7, 64];

const differences: string[] = [];
const bytesOf = async (x: Tensor) => Buffer.from(await x.bytes());
const int32 = (values: readonly number[]) => tensor(Int32Array.from(values));

/** Compares with the bytes of the first call, for every number of threads. */
async function same(name: string, variants: Record<string, () => Promise<Buffer>>): Promise<void> {
  let first: Buffer | undefined;
  for (const threads of THREADS) {
    setNumThreads(threads);
    for (const [variant, compute] of Object.entries(variants)) {
      const bytes = await compute();
      first ??= bytes;
      if (!bytes.equals(first)) differences.push(`${name}: ${variant}, ${threads} threads`);
    }
  }
}

/** An op of rows: all of x [count, width] at once, each row alone, and three rows at a time. */
async function sameRows(
  name: string,
  width: number,
  dtype: FloatDType,
  op: (x: Tensor) => Tensor,
  count = BATCH,
): Promise<void> {
  const x = tensor(new Random(width).normals(count * width), [count, width], { dtype });
  const inPieces = (size: number) => async () => {
    const pieces: Buffer[] = [];
    for (let r = 0; r < count; r += size) pieces.push(await bytesOf(op(x.slice(0, r, Math.min(count, r + size)))));
    return Buffer.concat(pieces);
  };
  await same(`${dtype} ${name} of width ${width}`, {
    batch: inPieces(count),
    alone: inPieces(1),
    'by three': inPieces(3),
  });
}

async function rows(dtype: FloatDType): Promise<void> {
  for (const width of [1, 17, 300, 4096]) {
    const vector = tensor(new Random(width).normals(width), [width], { dtype });
    await sameRows('softmax', width, dtype, (x) => softmax(x));
    await sameRows('logSumExp', width, dtype, (x) => logSumExp(x, { axis: -1 }));
    await sameRows('sum', width, dtype, (x) => sum(x, { axis: -1 }));
    await sameRows('mish', width, dtype, (x) => activation(x, 'mish'));
    await sameRows('topK', width, dtype, (x) => topK(x, 1).values);
    const labels = (x: Tensor) => tensor(new Int32Array(x.shape[0]!).fill(width - 1));
    await sameRows('crossEntropy', width, dtype, (x) => crossEntropy(x, labels(x), { reduction: 'none' }));
    const square = tensor(new Random(8).normals(70 * width), [width, 70], { dtype });
    await sameRows('matmul', width, dtype, (x) => matmul(x, square));
    await same(`${dtype} matmul of width ${width}, as it lies and transposed`, {
      dense: () => bytesOf(matmul(square.transpose(), square)),
      copied: () => bytesOf(matmul(square.transpose().reshape([-1]).reshape([70, width]), square)),
    });
    await sameRows('gelu', width, dtype, (x) => gelu(x));
    await sameRows('add', width, dtype, (x) => add(x, vector));
    await sameRows('layerNorm', width, dtype, (x) => layerNorm(x, { residual: x, weight: vector }).output);
    await sameRows('rmsNorm', width, dtype, (x) => rmsNorm(x, { residual: x, weight: vector }).output);
    const frequencies = tensor(new Random(5).normals(Math.floor(width / 2)));
    await sameRows('rope', width, dtype, (x) =>
      rope(x.reshape([-1, 1, width]), tensor(new Int32Array(x.shape[0]!).fill(7)), frequencies),
    );
    for (const outputs of [1, 70, 700]) {
      const weight = tensor(new Random(outputs).normals(outputs * width), [outputs, width], { dtype });
      const packed = packWeight(weight);
      const bias = tensor(new Random(3).normals(outputs), [outputs], { dtype });
      await sameRows(`linear to ${outputs}`, width, dtype, (x) => linear(x, packed, { bias, activation: 'gelu' }));
      const x = tensor(new Random(4).normals(width), [width], { dtype });
      await same(`${dtype} linear to ${outputs} of width ${width}, weight packed or not`, {
        packed: () => bytesOf(linear(x, packed, { outDtype: 'float32' })),
        dense: () => bytesOf(linear(x, weight, { outDtype: 'float32' })),
      });
    }
  }
}

/** Weights of integers; a batch of more rows than any instruction set takes for few. */
async function quantizedRows(dtype: FloatDType): Promise<void> {
  // A simulated device would take minutes: there rows alone are compared in quantized-linear.test.ts.
  if (defaultDevice() !== 'cpu') return;
  for (const quantize of ['int8', 'int4'] as const) {
    for (const [width, outputs] of [
      [1, 70],
      [17, 1],
      [300, 70],
      [4096, 130],
    ] as const) {
      const weight = packWeight(tensor(new Random(outputs).normals(outputs * width), [outputs, width]), { quantize });
      const bias = tensor(new Random(3).normals(outputs), [outputs], { dtype });
      const op = (x: Tensor) => linear(x, weight, { bias, activation: 'gelu' });
      await sameRows(`linear by ${quantize} to ${outputs}`, width, dtype, op, 50);
    }
  }
}

const [HEADS, KV_HEADS, WIDTH] = [4, 2, 24];

/** All heads of attention, dense, over `length` tokens: [T, H · D] of the last sequence. */
async function denseAttention(length: number, dtype: FloatDType): Promise<void> {
  const random = new Random(length);
  const part = (heads: number) =>
    tensor(random.normals(BATCH * length * heads * WIDTH), [BATCH, length, heads, WIDTH], { dtype });
  const [q, k, v] = [part(HEADS), part(KV_HEADS), part(KV_HEADS)].map((x) => x.transpose(1, 2));
  const last = (x: Tensor) => x.slice(0, BATCH - 1, BATCH);
  // The last queries of the shorter sequence are those of the whole one: causal aligns at the end.
  const inChunks = (size: number) => async () => {
    const chunks: Buffer[] = [];
    for (let t = 0; t < length; t += size) {
      const end = Math.min(length, t + size);
      const keys = (x: Tensor) => last(x).slice(2, 0, end);
      const out = attention(last(q!).slice(2, t, end), keys(k!), keys(v!), { mask: mask.causal() });
      chunks.push(await bytesOf(out.transpose(1, 2)));
    }
    return Buffer.concat(chunks);
  };
  await same(`${dtype} attention over ${length} keys`, {
    batch: () => bytesOf(last(attention(q!, k!, v!, { mask: mask.causal() })).transpose(1, 2)),
    alone: inChunks(length),
    ...Object.fromEntries(CHUNKS.map((size) => [`in chunks of ${size}`, inChunks(size)])),
  });
}

/** The same over a cache: the last of `batch` sequences, which have different lengths, in chunks. */
async function cachedAttention(length: number, dtype: FloatDType, cacheDtype: CacheDType): Promise<void> {
  const inChunks = (batch: number, size: number) => async () => {
    const sizes = { numLayers: 1, batch, capacity: length, numKvHeads: KV_HEADS, headDim: WIDTH };
    const cache = new KVCache({ ...sizes, dtype: cacheDtype });
    const random = new Random(length); // its first numbers are the last sequence's
    const part = (heads: number) => tensor(random.normals(length * heads * WIDTH), [length, heads, WIDTH], { dtype });
    const [q, k, v] = [part(HEADS), part(KV_HEADS), part(KV_HEADS)] as const;
    const [outputs, sums]: [Buffer[], Buffer[]] = [[], []];
    for (let t = 0; t < length; t += size) {
      const end = Math.min(length, t + size);
      // The other sequences repeat the last one's tokens, one fewer each.
      const counts = Array.from({ length: batch }, (_, b) => Math.max(0, end - t - (batch - 1 - b)));
      const cuSeqlens = int32(counts.reduce((ends, count) => [...ends, ends.at(-1)! + count], [0]));
      const pick = (x: Tensor) => tokens(x, t, counts);
      cache.append(0, await pick(k), await pick(v), cuSeqlens);
      const options = { cuSeqlens, mask: mask.causal(), returnLse: true } as const;
      const { output, lse } = attention(await pick(q), cache.layer(0), options);
      cache.advance(cuSeqlens);
      const total = counts.reduce((a, b) => a + b, 0);
      outputs.push(await bytesOf(output.slice(0, total - (end - t), total)));
      sums.push(await bytesOf(lse.slice(0, total - (end - t), total)));
    }
    cache.dispose();
    return Buffer.concat([...outputs, ...sums]);
  };
  await same(`${dtype} attention over a cache of ${length} keys of ${cacheDtype}`, {
    whole: inChunks(1, length),
    'in a batch': inChunks(BATCH, length),
    ...Object.fromEntries(CHUNKS.map((size) => [`in chunks of ${size}`, inChunks(1, size)])),
    'in a batch, in chunks of 7': inChunks(BATCH, 7),
  });
}

/** Processors of logits, what is drawn from the scores, and what is told of it. */
async function choices(width: number): Promise<void> {
  const random = new Random(width);
  const history = Int32Array.from({ length: BATCH * 30 }, () => random.integer(Math.min(width, 20)));
  const x = tensor(random.normals(BATCH * width, 2), [BATCH, width]);
  const chain = processorsOf({
    ...{
      repetitionPenalty: 1.2,
      frequencyPenalty: 0.3,
      dryMultiplier: 0.5,
      noRepeatNgramSize: width > 1 ? 3 : 0,
      temperature: 0.9,
    },
    ...{
      topNSigma: 3,
      topP: 0.98,
      minP: 0.001,
      typicalP: 0.97,
      etaCutoff: 1e-4,
      xtcProbability: 0.5,
      xtcThreshold: 0.01,
    },
    ...{ dynatempRange: 0.2, mirostat: 2, renormalizeLogits: true },
  });
  /** Rows from `begin` to `end`, as sequences of their own. */
  const choose = async (begin: number, end: number, seed = 3): Promise<Buffer> => {
    const rows = Array.from({ length: end - begin }, (_, i) => begin + i);
    const state = {
      history: tensor(history.slice(begin * 30, end * 30), [rows.length, 30]),
      lengths: int32(rows.map((row) => 23 + row)),
      promptLengths: int32(rows.map((row) => row)),
      keys: tensor(Int32Array.from(rows.flatMap((row) => [seed, 0, row])), [rows.length, 3]),
      steps: int32(rows.map(() => 11)),
      mu: tensor(rows.map((row) => 5 + row)),
    };
    const scores = processLogits(x.slice(0, begin, end), chain, state);
    const draw = { mirostat: { mu: state.mu, tau: 5, eta: 0.1 }, returnLogProbs: true };
    const { tokens, logProbs } = drawTokens(scores, state.keys, state.steps, draw);
    const told = tokenReport(scores, tokens, Math.min(width, 5));
    return Buffer.concat(await Promise.all([scores, tokens, logProbs!, state.mu, told].map(bytesOf)));
  };
  /** Tensors of pieces of the batch, put together row by row. */
  const inPieces = async (size: number): Promise<Buffer> => {
    const rowBytes: Buffer[] = [];
    for (let begin = 0; begin < BATCH; begin += size) {
      const whole = await choose(begin, Math.min(BATCH, begin + size));
      const count = Math.min(BATCH, begin + size) - begin;
      const widths = [width * 4, 4, 4, 4, 4 * (2 + 2 * Math.min(width, 5))];
      for (let r = 0; r < count; ++r) {
        let at = 0;
        for (const bytes of widths) {
          rowBytes.push(whole.subarray(at + r * bytes, at + (r + 1) * bytes));
          at += count * bytes;
        }
      }
    }
    return Buffer.concat(rowBytes);
  };
  await same(`choices of ${width} tokens`, {
    batch: () => inPieces(BATCH),
    alone: () => inPieces(1),
    'by three': () => inPieces(3),
  });
  const [first, other] = [await choose(0, BATCH), await choose(0, BATCH, 4)];
  if (width > 100 && first.equals(other)) differences.push(`choices of ${width} tokens: another seed, the same tokens`);
}

/** Tokens t … t + counts[b] - 1 of x, for each sequence b. */
async function tokens(x: Tensor, t: number, counts: readonly number[]): Promise<Tensor> {
  const parts: number[] = [];
  for (const count of counts) parts.push(...(await x.slice(0, t, t + count).data()));
  const [, ...rest] = x.shape;
  return tensor(Float32Array.from(parts), [counts.reduce((a, b) => a + b, 0), ...rest], { dtype: x.dtype });
}

/** The ops are right, too, with this instruction set. */
async function right(dtype: FloatDType): Promise<void> {
  const random = new Random(6);
  const normals = (count: number) => rounded(random.normals(count), dtype);
  const put = (values: Float32Array, shape: number[]) => tensor(values, shape, { dtype });
  const [x, weight] = [normals(5 * 130), normals(70 * 130)];
  const [q, k, v] = [normals(2 * 9 * 20), normals(2 * 600 * 20), normals(2 * 600 * 20)];
  const heads = { batch: 1, heads: 2, kvHeads: 2, queries: 9, keys: 600, keyWidth: 20, valueWidth: 20, causal: true };
  const checks: Record<string, [Tensor, naive.Formula]> = {
    linear: [
      linear(put(x, [5, 130]), put(weight, [70, 130]), { activation: 'gelu_new' }),
      (f) => naive.linear({ x, weight, width: 130, activation: 'gelu_new' }, f),
    ],
    layerNorm: [
      layerNorm(put(x, [5, 130])),
      (f) => naive.byRow(x, 130, (row) => naive.layerNorm(row, { eps: 1e-5 }, f)),
    ],
    softmax: [softmax(put(x, [5, 130])), (f) => naive.byRow(x, 130, (row) => naive.softmax(row, f))],
    attention: [
      attention(put(q, [1, 2, 9, 20]), put(k, [1, 2, 600, 20]), put(v, [1, 2, 600, 20]), { mask: mask.causal() }),
      (f, store) => naive.attention({ q, k, v, ...heads }, f, store),
    ],
  };
  for (const [name, [actual, formula]] of Object.entries(checks)) {
    try {
      expectAsGoodAsPlain(await actual.data(), formula, `${dtype} ${name}`, dtype);
    } catch (error) {
      differences.push((error as Error).message);
    }
  }
}

/** Vectors round and widen to the very bits that single numbers are rounded to: every half, what lies around, NaN. */
async function conversions(dtype: (typeof HALVES)[number]): Promise<void> {
  const around = numbersOf(dtype).flatMap((x, i, all) => {
    const middle = (x + (all[i + 1] ?? 2 * x)) / 2;
    return [x, middle * (1 - 2 ** -23), middle, middle * (1 + 2 ** -22)];
  });
  const specials = Uint32Array.from({ length: 4096 }, (_, i) => (i & 1 ? 0xff800000 : 0x7f800000) + i * 2041);
  const all = new Float32Array(2 * around.length + specials.length);
  all.set([...around, ...around.map((x) => -x)]);
  all.set(new Float32Array(specials.buffer), 2 * around.length);
  const single = tensor(all, [all.length], { dtype });
  const vector = cast(tensor(all), dtype);
  if (!(await bytesOf(single)).equals(await bytesOf(vector))) differences.push(`${dtype}: rounding`);
  const wide = await cast(vector, 'float32').data();
  const expected = rounded(all, dtype);
  if (!wide.every((x, i) => Object.is(x, expected[i]))) differences.push(`${dtype}: widening`);
}

async function main(): Promise<void> {
  for (const dtype of FLOATS) {
    await rows(dtype);
    await quantizedRows(dtype);
    for (const length of [1, 65, 200, 600]) await denseAttention(length, dtype);
    for (const length of [1, 65, 600]) {
      for (const cacheDtype of CACHES[dtype]) await cachedAttention(length, dtype, cacheDtype);
    }
    await right(dtype);
  }
  for (const dtype of HALVES) await conversions(dtype);
  for (const width of [1, 17, 300, 40_000]) await choices(width);
  console.log(JSON.stringify({ instructionSet: devices()[0]?.instructionSet, differences }));
}
void main();
