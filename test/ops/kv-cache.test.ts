import { attention, defaultDevice, KVCache, mask, sync, tensor, type CacheDType, type FloatDType } from '#lib/index';
import { FLOATS, HALVES, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

interface Sizes {
  heads: number;
  kvHeads: number;
  keyWidth: number;
  valueWidth?: number;
}

const int32 = (values: readonly number[]) => tensor(Int32Array.from(values));
const cumulative = (counts: readonly number[]) => counts.reduce((ends, n) => [...ends, ends.at(-1)! + n], [0]);

/** What a cache makes of a row of whole vectors of `width`. */
function cached(x: Float32Array, width: number, dtype: CacheDType): Float64Array {
  if (dtype !== 'int8') return Float64Array.from(rounded(x, dtype));
  return Float64Array.from(x, (value, i) => {
    const from = i - (i % width);
    const magnitude = x.subarray(from, from + width).reduce((most, one) => Math.max(most, Math.abs(one)), 0);
    const steps = Math.fround(value * Math.fround(127 / magnitude));
    const floor = Math.floor(steps);
    const isUp = steps - floor > 0.5 || (steps - floor === 0.5 && floor % 2 !== 0);
    return (isUp ? floor + 1 : floor) * Math.fround(magnitude / 127);
  });
}

/** Sequences whose tokens are run step by step: `steps[s][b]` tokens of sequence b in step s. */
async function runSteps(
  { heads, kvHeads, keyWidth, valueWidth = keyWidth }: Sizes,
  steps: readonly (readonly number[])[],
  causal: boolean,
  dtype: FloatDType,
  cacheDtype: CacheDType = dtype,
): Promise<void> {
  const batch = steps[0]!.length;
  const random = new Random(steps.length);
  const capacity = Math.max(...Array.from({ length: batch }, (_, b) => steps.reduce((sum, step) => sum + step[b]!, 0)));
  using cache = new KVCache({
    numLayers: 1,
    batch,
    capacity,
    numKvHeads: kvHeads,
    headDim: keyWidth,
    valueDim: valueWidth,
    dtype: cacheDtype,
  });
  /** [b][kvHead]: rows so far. */
  const empty = () => Array.from({ length: batch }, () => Array.from({ length: kvHeads }, (): Float64Array[] => []));
  const [keys, values] = [empty(), empty()];
  const lengths = Array.from({ length: batch }, () => 0);

  for (const counts of steps) {
    const total = counts.reduce((a, b) => a + b, 0);
    const part = (of: number, width: number) => rounded(random.normals(total * of * width), dtype);
    const put = (x: Float32Array, of: number, width: number) => tensor(x, [total, of, width], { dtype });
    const [q, k, v] = [part(heads, keyWidth), part(kvHeads, keyWidth), part(kvHeads, valueWidth)];
    const cuSeqlens = int32(cumulative(counts));
    cache.append(0, put(k, kvHeads, keyWidth), put(v, kvHeads, valueWidth), cuSeqlens);
    const { output, lse } = attention(put(q, heads, keyWidth), cache.layer(0), {
      cuSeqlens,
      mask: causal ? mask.causal() : undefined,
      returnLse: true,
    });
    expect([output.shape, output.dtype]).toEqual([[total, heads, valueWidth], dtype]);
    expect([lse.shape, lse.dtype]).toEqual([[total, heads], 'float32']);
    const [actual, sums] = [await output.data(), await lse.data()];
    cache.advance(cuSeqlens);

    const row = <X extends Float32Array | Float64Array>(x: X, n: number, h: number, of: number, width: number) =>
      x.subarray((n * of + h) * width, (n * of + h + 1) * width) as X;
    const [heldKeys, heldValues] = [cached(k, keyWidth, cacheDtype), cached(v, valueWidth, cacheDtype)];
    let token = 0;
    const step: naive.NaiveHead[] = [];
    const found: number[] = [];
    const foundSums: number[] = [];
    for (const [b, count] of counts.entries()) {
      const before = lengths[b]!;
      lengths[b]! += count;
      for (let i = 0; i < count; ++i) {
        for (let h = 0; h < kvHeads; ++h) {
          keys[b]![h]!.push(row(heldKeys, token + i, h, kvHeads, keyWidth));
          values[b]![h]!.push(row(heldValues, token + i, h, kvHeads, valueWidth));
        }
      }
      for (let h = 0; h < heads; ++h) {
        const of = Math.floor(h / (heads / kvHeads));
        const queries = Array.from({ length: count }, (_, i) => row(q, token + i, h, heads, keyWidth));
        const visible = (i: number) => (causal ? before + i + 1 : lengths[b]!);
        const scale = 1 / Math.sqrt(keyWidth);
        step.push({ q: queries, k: keys[b]![of]!, v: values[b]![of]!, scale, visible });
        found.push(...queries.flatMap((_, i) => [...row(actual, token + i, h, heads, valueWidth)]));
        foundSums.push(...queries.map((_, i) => sums[(token + i) * heads + h]!));
      }
      token += count;
    }
    // Values are in float32, or on CUDA in the dtype that is computed in.
    const valueOf = (head: naive.NaiveHead, store: naive.Round) =>
      defaultDevice() === 'cpu' ? head : { ...head, v: head.v.map((row) => Float64Array.from(row, store)) };
    const rows: naive.Formula = (f, store) =>
      step.flatMap((head) => naive.attentionHead(valueOf(head, store), f, store).flat());
    // Weights are rounded to a half dtype that the cache has.
    naive.expectAsGoodAsPlain(found, rows, undefined, cacheDtype === 'int8' ? dtype : cacheDtype);
    if (dtype !== 'float32') continue; // lse is float32 of every dtype, and costs the plain formula once more
    naive.expectAsGoodAsPlain(foundSums, (f) => step.flatMap((head) => naive.attentionLseHead(head, f)), 'lse');
  }
  expect(await cache.lengths.data()).toEqual(Int32Array.from(lengths));
}

const runs: [name: string, sizes: Sizes, steps: number[][]][] = [
  ['one token after another', { heads: 2, kvHeads: 2, keyWidth: 8 }, [[1], [1], [1], [1]]],
  ['a prompt, then tokens', { heads: 4, kvHeads: 2, keyWidth: 16 }, [[61], [1], [1], [1], [1], [1]]],
  [
    'ragged',
    { heads: 3, kvHeads: 1, keyWidth: 20 },
    [
      [5, 70, 1],
      [1, 1, 1],
      [7, 1, 30],
    ],
  ],
  [
    'some sequences rest',
    { heads: 2, kvHeads: 1, keyWidth: 16 },
    [
      [3, 0, 2],
      [0, 0, 1],
      [0, 66, 0],
      [1, 1, 1],
    ],
  ],
  [
    'chunks over pages',
    { heads: 1, kvHeads: 1, keyWidth: 33, valueWidth: 7 },
    [
      [63, 64],
      [1, 1],
      [1, 64],
      [130, 3],
    ],
  ],
  ['over spans', { heads: 1, kvHeads: 1, keyWidth: 8 }, [[500], [11], [1], [1], [600]]],
  [
    'odd widths',
    { heads: 2, kvHeads: 2, keyWidth: 1, valueWidth: 130 },
    [
      [3, 9],
      [1, 1],
    ],
  ],
];

describe.each(FLOATS)('%s: attention over a cache', (dtype) => {
  describe.each([true, false])('causal: %p', (causal) => {
    test.each(runs)('%s', (_, sizes, steps) => runSteps(sizes, steps, causal, dtype));
  });
});

const smaller: [FloatDType, CacheDType][] = [
  ...HALVES.map((half): [FloatDType, CacheDType] => ['float32', half]),
  ...FLOATS.map((dtype): [FloatDType, CacheDType] => [dtype, 'int8']),
];
describe.each(smaller)('%s over a cache of %s', (dtype, cacheDtype) => {
  test.each(runs)('%s', (_, sizes, steps) => runSteps(sizes, steps, true, dtype, cacheDtype));

  test('what is not finite stays so', async () => {
    using cache = new KVCache({ ...options, dtype: cacheDtype });
    const rows = new Float32Array(48).fill(1);
    rows[20] = NaN;
    const cuSeqlens = int32([0, 3]);
    const x = tensor(rows, [3, 1, 16], { dtype });
    cache.append(0, x, x, cuSeqlens);
    const q = tensor(new Float32Array(48).fill(1), [3, 1, 16], { dtype });
    const out = await attention(q, cache.layer(0), { cuSeqlens, mask: mask.causal() }).data();
    expect([out[20], out[36]]).toEqual([NaN, NaN]);
  });
});

test('a cache is of the dtype of what meets it, or of a smaller one', () => {
  for (const [dtype, cacheDtype] of [
    ['float16', 'bfloat16'],
    ['bfloat16', 'float32'],
  ] as const) {
    using cache = new KVCache({ ...options, dtype: cacheDtype });
    const x = tensor(new Float32Array(16), [1, 1, 16], { dtype });
    const message = `must be ${cacheDtype} as the cache is but got ${dtype}: see cast`;
    expect(() => cache.append(0, x, x, int32([0, 1]))).toThrow(new TypeError(`[append_kv] k ${message}`));
    const attend = () => attention(x, cache.layer(0), { cuSeqlens: int32([0, 1]) });
    expect(attend).toThrow(new TypeError(`[attention] q ${message}`));
  }
  const wrong = { ...options, dtype: 'int4' } as never;
  expect(() => new KVCache(wrong)).toThrow('dtype must be one of float32, float16, bfloat16, int8 but got "int4"');
});

const options = { numLayers: 1, batch: 1, capacity: 10, numKvHeads: 1, headDim: 16 };

test('unwritten keys do not leak', async () => {
  const run = async () => {
    using cache = new KVCache(options);
    const ones = tensor(new Float32Array(32).fill(1), [2, 1, 16]);
    cache.append(0, ones, ones, int32([0, 2]));
    return await attention(ones, cache.layer(0), { cuSeqlens: int32([0, 2]) }).data();
  };
  const pages = 64 * 32;
  for (let i = 0; i < 4; ++i) tensor(new Float32Array(pages).fill(NaN)).dispose();
  await sync();
  expect(await run()).toEqual(new Float32Array(32).fill(1));
});

test('pages round the capacity up; what passes them fails when it is read', async () => {
  using cache = new KVCache(options);
  const many = (count: number) => tensor(new Float32Array(count * 16), [count, 1, 16]);
  cache.append(0, many(64), many(64), int32([0, 64]));
  cache.advance(int32([0, 64]));
  await sync();
  cache.append(0, many(1), many(1), int32([0, 1]));
  const out = attention(many(1), cache.layer(0), { cuSeqlens: int32([0, 1]) });
  await expect(out.data()).rejects.toMatchObject({ name: 'RangeError', code: 'CACHE_FULL' });
});

test('each layer has its own pages', async () => {
  using cache = new KVCache({ ...options, numLayers: 2 });
  const filled = (x: number) => tensor(new Float32Array(16).fill(x), [1, 1, 16]);
  for (const layer of [0, 1]) cache.append(layer, filled(layer), filled(layer + 5), int32([0, 1]));
  for (const layer of [0, 1]) {
    const out = attention(filled(1), cache.layer(layer), { cuSeqlens: int32([0, 1]) });
    expect(await out.data()).toEqual(new Float32Array(16).fill(layer + 5));
  }
});

// Offsets and lengths are data: what they say is checked when the op runs.
const wrong: [name: string, cuSeqlens: number[]][] = [
  ['beyond the tokens', [0, 1000]],
  ['short of the tokens', [0, 1]],
  ['not from 0', [1, 2]],
  ['falling', [0, -1]],
  ['negative', [-5, 2]],
  ['huge', [0, 2 ** 31 - 1]],
];
test.each(wrong)('cuSeqlens %s: an error, never a wild read', async (_, cuSeqlens) => {
  const two = () => tensor(new Float32Array(32), [2, 1, 16]);
  {
    using cache = new KVCache(options);
    cache.append(0, two(), two(), int32(cuSeqlens));
    await expect(sync()).rejects.toMatchObject({ name: 'RangeError', code: expect.any(String) as string });
  }
  using cache = new KVCache(options);
  cache.append(0, two(), two(), int32([0, 2]));
  const out = attention(two(), cache.layer(0), { cuSeqlens: int32(cuSeqlens) });
  await expect(out.data()).rejects.toMatchObject({ name: 'RangeError', code: expect.any(String) as string });
});

test('lengths that cannot be: an error, never a wild write', async () => {
  const two = () => tensor(new Float32Array(32), [2, 1, 16]);
  for (const cuSeqlens of [
    [0, -5],
    [0, 2 ** 31 - 1],
    [5, 0],
  ]) {
    using cache = new KVCache(options);
    cache.advance(int32(cuSeqlens));
    cache.append(0, two(), two(), int32([0, 2]));
    const out = attention(two(), cache.layer(0), { cuSeqlens: int32([0, 2]) });
    await expect(out.data()).rejects.toMatchObject({ name: 'RangeError', code: expect.any(String) as string });
    await sync().catch(() => undefined);
  }
});
