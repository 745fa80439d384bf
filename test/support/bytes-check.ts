import {
  attention,
  defaultDevice,
  devices,
  KVCache,
  layerNorm,
  linear,
  mask,
  packWeight,
  setNumThreads,
  softmax,
  tensor,
  type Tensor,
} from '#lib/index';
import { expectAsGoodAsPlain } from './naive';
import * as naive from './naive';
import { Random } from './random';

// For a process of its own, one for each instruction set: a row must have the same bytes alone and in a batch, with one
// thread and with four, and with the queries whole and in chunks. Prints what differs, as JSON.

const BATCH = 8;
const THREADS = defaultDevice() === 'cpu' ? [1, 2, 4] : [1];
const CHUNKS = [1, 7, 64];

const differences: string[] = [];
const bytesOf = async (x: Tensor) => {
  const values = await x.data();
  return Buffer.from(values.buffer, values.byteOffset, values.byteLength);
};
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

/** An op of rows: all of x [BATCH, width] at once, each row alone, and three rows at a time. */
async function sameRows(name: string, width: number, op: (x: Tensor) => Tensor): Promise<void> {
  const x = tensor(new Random(width).normals(BATCH * width), [BATCH, width]);
  const inPieces = (size: number) => async () => {
    const pieces: Buffer[] = [];
    for (let r = 0; r < BATCH; r += size) pieces.push(await bytesOf(op(x.slice(0, r, Math.min(BATCH, r + size)))));
    return Buffer.concat(pieces);
  };
  await same(`${name} of width ${width}`, { batch: inPieces(BATCH), alone: inPieces(1), 'by three': inPieces(3) });
}

async function rows(): Promise<void> {
  for (const width of [1, 17, 300, 4096]) {
    await sameRows('softmax', width, softmax);
    await sameRows('layerNorm', width, (x) => layerNorm(x));
    for (const outputs of [1, 70, 700]) {
      const weight = tensor(new Random(outputs).normals(outputs * width), [outputs, width]);
      const packed = packWeight(weight);
      const bias = tensor(new Random(3).normals(outputs));
      await sameRows(`linear to ${outputs}`, width, (x) => linear(x, packed, { bias, activation: 'gelu' }));
      await same(`linear to ${outputs} of width ${width}, weight packed or not`, {
        packed: () => bytesOf(linear(tensor(new Random(4).normals(width)), packed)),
        dense: () => bytesOf(linear(tensor(new Random(4).normals(width)), weight)),
      });
    }
  }
}

const [HEADS, KV_HEADS, WIDTH] = [4, 2, 24];

/** All heads of attention, dense, over `length` tokens: [T, H · D] of the last sequence. */
async function denseAttention(length: number): Promise<void> {
  const random = new Random(length);
  const part = (heads: number) => tensor(random.normals(BATCH * length * heads * WIDTH), [BATCH, length, heads, WIDTH]);
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
  await same(`attention over ${length} keys`, {
    batch: () => bytesOf(last(attention(q!, k!, v!, { mask: mask.causal() })).transpose(1, 2)),
    alone: inChunks(length),
    ...Object.fromEntries(CHUNKS.map((size) => [`in chunks of ${size}`, inChunks(size)])),
  });
}

/** The same over a cache: the last of `batch` sequences, which have different lengths, in chunks. */
async function cachedAttention(length: number): Promise<void> {
  const inChunks = (batch: number, size: number) => async () => {
    const cache = new KVCache({ numLayers: 1, batch, capacity: length, numKvHeads: KV_HEADS, headDim: WIDTH });
    const random = new Random(length); // its first numbers are the last sequence's
    const part = (heads: number) => tensor(random.normals(length * heads * WIDTH), [length, heads, WIDTH]);
    const [q, k, v] = [part(HEADS), part(KV_HEADS), part(KV_HEADS)] as const;
    const chunks: Buffer[] = [];
    for (let t = 0; t < length; t += size) {
      const end = Math.min(length, t + size);
      // The other sequences repeat the last one's tokens, one fewer each.
      const counts = Array.from({ length: batch }, (_, b) => Math.max(0, end - t - (batch - 1 - b)));
      const cuSeqlens = int32(counts.reduce((ends, count) => [...ends, ends.at(-1)! + count], [0]));
      const pick = (x: Tensor) => tokens(x, t, counts);
      cache.append(0, await pick(k), await pick(v), cuSeqlens);
      const out = attention(await pick(q), cache.layer(0), { cuSeqlens, mask: mask.causal() });
      cache.advance(cuSeqlens);
      const total = counts.reduce((a, b) => a + b, 0);
      chunks.push(await bytesOf(out.slice(0, total - (end - t), total)));
    }
    cache.dispose();
    return Buffer.concat(chunks);
  };
  await same(`attention over a cache of ${length} keys`, {
    whole: inChunks(1, length),
    'in a batch': inChunks(BATCH, length),
    ...Object.fromEntries(CHUNKS.map((size) => [`in chunks of ${size}`, inChunks(1, size)])),
    'in a batch, in chunks of 7': inChunks(BATCH, 7),
  });
}

/** Tokens t … t + counts[b] - 1 of x, for each sequence b. */
async function tokens(x: Tensor, t: number, counts: readonly number[]): Promise<Tensor> {
  const parts: number[] = [];
  for (const count of counts) parts.push(...(await x.slice(0, t, t + count).data()));
  const [, ...rest] = x.shape;
  return tensor(Float32Array.from(parts), [counts.reduce((a, b) => a + b, 0), ...rest]);
}

/** The ops are right, too, with this instruction set. */
async function right(): Promise<void> {
  const random = new Random(6);
  const [x, weight] = [random.normals(5 * 130), random.normals(70 * 130)];
  const [q, k, v] = [random.normals(2 * 9 * 20), random.normals(2 * 600 * 20), random.normals(2 * 600 * 20)];
  const heads = { batch: 1, heads: 2, kvHeads: 2, queries: 9, keys: 600, keyWidth: 20, valueWidth: 20, causal: true };
  const checks: Record<string, [Tensor, (f: naive.Round) => number[]]> = {
    linear: [
      linear(tensor(x, [5, 130]), tensor(weight, [70, 130]), { activation: 'gelu_new' }),
      (f) => naive.linear({ x, weight, width: 130, activation: 'gelu_new' }, f),
    ],
    layerNorm: [
      layerNorm(tensor(x, [5, 130])),
      (f) => naive.byRow(x, 130, (row) => naive.layerNorm(row, { eps: 1e-5 }, f)),
    ],
    softmax: [softmax(tensor(x, [5, 130])), (f) => naive.byRow(x, 130, (row) => naive.softmax(row, f))],
    attention: [
      attention(tensor(q, [1, 2, 9, 20]), tensor(k, [1, 2, 600, 20]), tensor(v, [1, 2, 600, 20]), {
        mask: mask.causal(),
      }),
      (f) => naive.attention({ q, k, v, ...heads }, f),
    ],
  };
  for (const [name, [actual, formula]] of Object.entries(checks)) {
    try {
      expectAsGoodAsPlain(await actual.data(), formula, name);
    } catch (error) {
      differences.push((error as Error).message);
    }
  }
}

async function main(): Promise<void> {
  await rows();
  for (const length of [1, 65, 200]) await denseAttention(length);
  await denseAttention(600);
  for (const length of [1, 65, 600]) await cachedAttention(length);
  await right();
  console.log(JSON.stringify({ instructionSet: devices()[0]?.instructionSet, differences }));
}
void main();
