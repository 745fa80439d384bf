// How heddle is measured on a GPU: through its public face, by the host's clock. Many calls are queued between two
// sync(), so that a call's time is the larger of what the device and what the host needs for it; one sync() a round
// (some tens of microseconds) is in it, too.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import * as path from 'node:path';
import {
  attention,
  cast,
  embedding,
  KVCache,
  layerNorm,
  linear,
  loadModel,
  mask,
  mul,
  packWeight,
  relu,
  rmsNorm,
  sample,
  scope,
  sync,
  tensor,
  trimMemory,
} from 'heddle';
import { writeRandomGpt2 } from '../build/test/support/random-gpt2.js';
import { settings } from './gpu-shapes.mjs';

const ROUNDS = 5;
const ROUNDS_OF_SLOW = 3;
// A queue takes 4,096 ops, and a device is followed at most 1,024 behind.
const MAX_CALLS = 256;

export const OUT_OF_TIME = 'not measured: out of time';

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Milliseconds of `count` calls, waited for. */
async function timeCalls(call, count) {
  const began = performance.now();
  for (let i = 0; i < count; ++i) call(i);
  await sync();
  return performance.now() - began;
}

/** Median milliseconds of one call. `call(i)` queues the i-th. */
async function timeCall(call, sets) {
  await timeCalls(call, sets); // warm-up: code is loaded, memory taken
  let guess = await timeCalls(call, 1);
  if (guess < settings.roundMs) guess = (await timeCalls(call, 8)) / 8;
  const count = Math.max(1, Math.min(MAX_CALLS, Math.round(settings.roundMs / guess)));
  const rounds = [];
  const number = guess < settings.roundMs ? ROUNDS : ROUNDS_OF_SLOW;
  for (let round = 0; round < number; ++round) rounds.push((await timeCalls(call, count)) / count);
  return median(rounds);
}

const random = (length) => Float32Array.from({ length }, () => Math.random() * 2 - 1);
const list = (count, make) => Array.from({ length: count }, (_, i) => make(i));
const ints = (length, value) => tensor(Int32Array.from({ length }, (_, i) => value(i)));

/** Random values on the device, in [-1, 1); tensors are views of them. Only a small table of them is uploaded. */
class Pool {
  #values;
  #next = 0;

  constructor(elements) {
    const width = Math.min(4096, Math.sqrt(elements));
    this.#values = scope(() => {
      const table = cast(tensor(random(256 * width), [256, width]), 'bfloat16');
      const ids = ints(elements / width, () => Math.floor(Math.random() * 256));
      return embedding(table, ids).reshape([elements]);
    });
  }

  take(shape) {
    const size = shape.reduce((product, length) => product * length, 1);
    if (this.#next + size > this.#values.size) this.#next = 0;
    const begin = this.#next;
    this.#next += size;
    return scope(() => this.#values.slice(0, begin, begin + size).reshape(shape));
  }

  dispose() {
    this.#values.dispose();
  }
}

function maskOf({ mask: kind, T, window, documents }, own) {
  if (kind === 'dense') return undefined;
  if (kind === 'causal') return mask.causal();
  if (kind === 'window') return mask.slidingWindow(window);
  const ids = own(scope(() => ints(T, (i) => Math.floor((i * documents) / T)).reshape([1, T])));
  return mask.causal().and(mask.documents(ids));
}

const SAMPLING = { temperature: 0.8, topK: 50, topP: 0.9, minP: 0.05 };

/** By kind: makes a row's operands, `own` keeps them until it is measured, and gives what queues the i-th call. */
const CALLS = {
  copy({ elements }, take) {
    const x = take([elements]);
    return () => relu(x);
  },
  attention(row, take, own) {
    const { T, D, H, Hkv } = row;
    const [q, k, v] = [H, Hkv, Hkv].map((heads) => take([1, heads, T, D]));
    const options = { mask: maskOf(row, own) };
    return () => attention(q, k, v, options);
  },
  decode({ batch, keys, D, H, Hkv, sets }, take, own) {
    const sizes = { numLayers: sets, batch, capacity: keys, numKvHeads: Hkv, headDim: D };
    const cache = own(new KVCache({ ...sizes, dtype: 'bfloat16' }));
    const append = (count) => {
      const cuSeqlens = own(ints(batch + 1, (b) => b * count));
      for (let layer = 0; layer < sets; ++layer) {
        const [k, v] = [0, 1].map(() => take([batch * count, Hkv, D]));
        cache.append(layer, k, v, cuSeqlens);
      }
      return cuSeqlens;
    };
    cache.advance(append(keys - 1));
    const cuSeqlens = append(1); // of the step under way
    const q = take([batch, H, D]);
    return (i) => attention(q, cache.layer(i % sets), { cuSeqlens, mask: mask.causal() });
  },
  layer_norm({ rows, width, sets }, take) {
    const inputs = list(sets, () => take([rows, width]));
    const [weight, bias] = [take([width]), take([width])];
    return (i) => layerNorm(inputs[i % sets], { weight, bias });
  },
  linear({ m, k, n, quantize, sets }, take, own) {
    const x = take([m, k]);
    const weights = list(sets, () => own(packWeight(take([n, k]), { quantize })));
    return (i) => linear(x, weights[i % sets]);
  },
  rms_norm({ rows, width, sets }, take) {
    const inputs = list(sets, () => take([rows, width]));
    const weight = take([width]);
    return (i) => rmsNorm(inputs[i % sets], { weight });
  },
  sample({ rows, vocabulary, processors }, take, own) {
    const logits = own(scope(() => mul(cast(take([rows, vocabulary]), 'float32'), 8)));
    const options = Object.fromEntries(processors.map((name) => [name, SAMPLING[name]]));
    return (step) => sample(logits, { ...options, step });
  },
};

let pool;

async function measureOp(row) {
  pool ??= new Pool(settings.poolElements);
  const owned = [];
  const own = (disposable) => (owned.push(disposable), disposable);
  try {
    const call = CALLS[row.kind === 'quantized_linear' ? 'linear' : row.kind](
      row,
      (shape) => own(pool.take(shape)),
      own,
    );
    const us = 1000 * (await timeCall((i) => scope(() => void call(i)), row.sets));
    // Ops whose operands could not be computed do not run, which takes no time: the last word is a result's.
    await own(call(0)).ready();
    return { us };
  } finally {
    for (const one of owned) one.dispose();
  }
}

/** Median milliseconds of a greedy generation. */
async function timeGenerate(model, batch, length, maxNewTokens) {
  const { vocabulary } = settings.model;
  const prompts = list(batch, (b) => list(length, (i) => (i * 31 + b) % vocabulary));
  const times = [];
  for (let round = -1; round < ROUNDS; ++round) {
    const began = performance.now();
    await model.generate(prompts, { maxNewTokens, doSample: false, eosTokenId: null });
    if (round >= 0) times.push(performance.now() - began);
  }
  return median(times);
}

const OF_MODEL = {
  async prefill(model, { tokens }) {
    return { us: 1000 * (await timeGenerate(model, 1, tokens, 1)) };
  },
  /** A step: what further tokens take longer. */
  async generate(model, { batch, tokens }) {
    const first = await timeGenerate(model, batch, 5, 1);
    const all = await timeGenerate(model, batch, 5, 1 + tokens);
    return { us: (1000 * (all - first)) / tokens };
  },
};

async function* measureModel(rows) {
  const folder = mkdtempSync(path.join(tmpdir(), 'heddle-bench-'));
  try {
    writeRandomGpt2(folder, settings.model);
    const loading = loadModel(folder, { device: 'cuda' });
    loading.catch(() => undefined); // every row says so
    for (const row of rows) yield [row, async () => OF_MODEL[row.kind](await loading, row)];
    await loading.then(
      (model) => model.dispose(),
      () => undefined,
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const isOfModel = ({ kind }) => kind in OF_MODEL;

async function* measurements(rows) {
  for (const row of rows.filter((row) => !isOfModel(row))) yield [row, () => measureOp(row)];
  pool?.dispose();
  yield* measureModel(rows.filter(isOfModel));
  trimMemory('cuda'); // the peers may need it
}

/** One row after another: [row, { us } or { error }]. What there is no time for is an error, too. */
export async function* measureRows(rows, until) {
  const left = new Set(rows);
  for await (const [row, measure] of measurements(rows)) {
    if (performance.now() > until) break;
    left.delete(row);
    try {
      yield [row, await measure()];
    } catch (error) {
      yield [row, { error: error.message.split('\n')[0] }];
      await sync().catch(() => undefined); // what else of it has failed
    }
  }
  for (const row of left) yield [row, { error: OUT_OF_TIME }];
}
