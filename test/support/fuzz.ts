import * as heddle from '#lib/index';
import { Random } from './random';

// For a process of its own: calls every public function with junk, and prints what came back that is neither a value,
// nor a TypeError or RangeError, nor an error with a code.

const CALLS = Number(process.argv[3] ?? 6000);
const LONGEST_MS = 10_000;

const random = new Random(Number(process.argv[2] ?? 1));
const { tensor } = heddle;
const int32 = (values: number[], shape?: number[]) => tensor(values, shape, { dtype: 'int32' });

/** Tensors made so far; the oldest give way. */
const pool: heddle.Tensor[] = [];
function keep(value: unknown): void {
  if (!(value instanceof heddle.Tensor)) return;
  pool.push(value);
  if (pool.length > 60) pool.splice(random.integer(60), 1)[0]!.dispose();
}

const SIZES = [0, 1, 1, 2, 2, 3, 4, 8, 17, 64, 65];
function someShape(rank = random.integer(5)): number[] {
  return Array.from({ length: rank }, () => random.pick(SIZES));
}

function someTensor(): heddle.Tensor {
  if (pool.length > 0 && random.next() < 0.6) return random.pick(pool);
  const shape = someShape();
  const count = shape.reduce((a, b) => a * b, 1);
  if (count > 20_000) return tensor([1]);
  return random.next() < 0.7
    ? tensor(random.normals(count), shape, { dtype: random.pick(['float32', 'float32', 'float16', 'bfloat16']) })
    : int32(
        Array.from({ length: count }, () => random.integer(9) - 2),
        shape,
      );
}

const NUMBERS = [0, -0, 1, -1, 2, 3, 64, 0.5, 1e-60, 1e39, -1e300, NaN, Infinity, -Infinity, 2 ** 31, 2 ** 53, 2 ** 40];
const JUNK: unknown[] = [
  'float16',
  undefined,
  null,
  true,
  '',
  'causal',
  'tanh',
  'gelu',
  1n,
  Symbol('s'),
  () => 1,
  /x/,
  new Date(0),
];
const OPTIONS = ['mask', 'scale', 'cuSeqlens', 'weight', 'bias', 'residual', 'eps', 'activation', 'approximate'].concat(
  [
    'temperature',
    'topK',
    'topP',
    'seed',
    'step',
    'dtype',
    'outDtype',
    'returnLse',
    'numLayers',
    'batch',
    'capacity',
    'numKvHeads',
    'headDim',
  ],
);
const caches: heddle.KVCache[] = [
  new heddle.KVCache({ numLayers: 1, batch: 2, capacity: 70, numKvHeads: 1, headDim: 4 }),
  new heddle.KVCache({ numLayers: 1, batch: 2, capacity: 70, numKvHeads: 1, headDim: 4, dtype: 'float16' }),
];

function someValue(depth = 0): unknown {
  const kinds: (() => unknown)[] = [
    someTensor,
    someTensor,
    someTensor,
    () => random.pick(NUMBERS),
    () => random.integer(5),
    () => random.pick(JUNK),
    () => someShape(),
    () => new Float32Array(random.integer(9)),
    () => new Int32Array(random.integer(9)),
    () => new Float64Array(2),
    () => heddle.mask.causal(),
    () => random.pick(caches).layer(0),
    () => ({
      ...random.pick(caches).layer(0),
      [random.pick(['pages', 'lengths', 'blockTable', 'valueDim'])]: someValue(2),
    }),
    () => Object.fromEntries([[random.pick(OPTIONS), depth > 1 ? 1 : someValue(depth + 1)]]),
    () => Object.fromEntries([0, 1].map(() => [random.pick(OPTIONS), depth > 1 ? 1 : someValue(depth + 1)])),
    () => [depth > 1 ? 1 : someValue(depth + 1)],
    () => Object.create(Object.create(null) as object) as unknown,
  ];
  return random.pick(kinds)();
}

type Anything = (...values: unknown[]) => unknown;
const api = heddle as unknown as Record<string, Anything>;
const functions = [
  'add',
  'argmax',
  'attention',
  'attention',
  'embedding',
  'gatherRows',
  'gelu',
  'layerNorm',
  'linear',
].concat([
  'cast',
  'gated',
  'rmsNorm',
  'rope',
  'logSoftmax',
  'packWeight',
  'processLogits',
  'sample',
  'scope',
  'softmax',
  'tensor',
]);
const methods = ['bytes', 'data', 'dispose', 'reshape', 'slice', 'transpose'];

/** One call, and its name. */
function someCall(): [string, () => unknown] {
  const values = Array.from({ length: random.integer(5) }, () => someValue());
  const pickTensor = () => someTensor() as unknown as Record<string, Anything>;
  const chance = random.next();
  if (chance < 0.65) {
    const name = random.pick(functions);
    return [name, () => api[name]!(...values)];
  }
  if (chance < 0.85) {
    const name = random.pick(methods);
    return [name, () => pickTensor()[name]!(...values)];
  }
  const cache = random.pick(caches) as unknown as Record<string, Anything>;
  const name = random.pick(['append', 'advance', 'layer']);
  return [`KVCache.${name}`, () => cache[name]!(...values)];
}

const wrong: string[] = [];
function judge(name: string, error: unknown): void {
  const { code } = (error ?? {}) as { code?: string };
  const meant =
    error instanceof TypeError || error instanceof RangeError || error instanceof heddle.QueueFullError || code;
  const named = error instanceof Error && (code ?? /^\[\w+(\.\w+)?\] /.test(error.message));
  if (!meant || !named) wrong.push(`${name}: ${String(error)} ${(error as Error).stack ?? ''}`.slice(0, 600));
}

async function main(): Promise<void> {
  heddle.setMemoryLimit(2 ** 30);
  const began = Date.now();
  let calls = 0;
  for (; calls < CALLS && Date.now() - began < LONGEST_MS && wrong.length < 5; ++calls) {
    const [name, run] = someCall();
    try {
      const result = run();
      keep(result);
      const made = result instanceof heddle.Tensor ? result : undefined;
      if (result instanceof Promise) await result.catch((error: unknown) => judge(name, error));
      if (made && random.next() < 0.2 && made.size < 1e6)
        await made.data().catch((error: unknown) => judge(name, error));
    } catch (error) {
      judge(name, error);
    }
    if (calls % 50 === 0) await heddle.sync().catch((error: unknown) => judge('sync', error));
    if (calls % 200 === 0) {
      caches[0]!.dispose();
      caches[0] = new heddle.KVCache({ numLayers: 1, batch: 2, capacity: 70, numKvHeads: 1, headDim: 4 });
    }
  }
  console.log(JSON.stringify({ calls, wrong }));
}
void main();
