import { attention, KVCache, mask, tensor, type CachedKeys, type FloatDType } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

// Attention to a source: over a cache that holds its keys, and shared by rows that have one source.

interface Sizes {
  heads: number;
  kvHeads: number;
  keyWidth: number;
  valueWidth: number;
}

const int32 = (values: readonly number[]) => tensor(Int32Array.from(values));
const cumulative = (counts: readonly number[]) => counts.reduce((ends, n) => [...ends, ends.at(-1)! + n], [0]);
const total = (counts: readonly number[]) => counts.reduce((a, b) => a + b, 0);
const bytes = (data: ArrayBufferView) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);

/** Keys and values of sources, and a cache that holds them. */
class Sources implements Disposable {
  readonly cache: KVCache;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly begins: number[];

  constructor(
    readonly sizes: Sizes,
    readonly lengths: readonly number[],
    readonly dtype: FloatDType,
    random: Random,
  ) {
    const { kvHeads, keyWidth, valueWidth } = sizes;
    this.begins = cumulative(lengths);
    const tokens = total(lengths);
    this.k = rounded(random.normals(tokens * kvHeads * keyWidth), dtype);
    this.v = rounded(random.normals(tokens * kvHeads * valueWidth), dtype);
    this.cache = new KVCache({
      ...{ numLayers: 1, batch: lengths.length, capacity: Math.max(1, ...lengths), numKvHeads: kvHeads },
      ...{ headDim: keyWidth, valueDim: valueWidth, dtype },
    });
    const cuSeqlens = int32(this.begins);
    this.cache.append(
      0,
      tensor(this.k, [tokens, kvHeads, keyWidth], { dtype }),
      tensor(this.v, [tokens, kvHeads, valueWidth], { dtype }),
      cuSeqlens,
    );
    this.cache.advance(cuSeqlens);
  }

  /** Of one source and head. */
  rows(x: Float32Array, source: number, head: number, width: number): Float32Array[] {
    return Array.from({ length: this.lengths[source]! }, (_, j) => {
      const at = ((this.begins[source]! + j) * this.sizes.kvHeads + head) * width;
      return x.subarray(at, at + width);
    });
  }

  [Symbol.dispose](): void {
    this.cache.dispose();
  }
}

/** `counts[r]` queries of row r, whose source is `sourceOf[r]`, against the plain formula; their bytes. */
async function check(
  sources: Sources,
  keys: CachedKeys,
  counts: readonly number[],
  sourceOf: readonly number[],
  q: Float32Array,
): Promise<Buffer> {
  const { sizes, dtype } = sources;
  const { heads, kvHeads, keyWidth, valueWidth } = sizes;
  const { output, lse, weights } = attention(tensor(q, [total(counts), heads, keyWidth], { dtype }), keys.layer(0), {
    ...{ cuSeqlens: int32(cumulative(counts)), cross: true, returnLse: true, returnWeights: true },
  });
  expect(output.shape).toEqual([total(counts), heads, valueWidth]);
  const actual = await output.data();
  const [sums, shares] = [await lse.data(), await weights.data()];
  const capacity = weights.shape[2]!;
  const found: number[] = [];
  const step: naive.NaiveHead[] = [];
  const begins = cumulative(counts);
  for (const [r, count] of counts.entries()) {
    const source = sourceOf[r]!;
    const length = sources.lengths[source]!;
    for (let h = 0; h < heads; ++h) {
      const of = Math.floor(h / (heads / kvHeads));
      const at = (i: number) => (begins[r]! + i) * heads + h;
      const queries = Array.from({ length: count }, (_, i) => q.subarray(at(i) * keyWidth, (at(i) + 1) * keyWidth));
      for (let i = 0; i < count; ++i) {
        const row = actual.subarray(at(i) * valueWidth, (at(i) + 1) * valueWidth);
        const own = shares.subarray(at(i) * capacity, (at(i) + 1) * capacity);
        const weight = own.reduce((a, b) => a + b, 0);
        expect(own.slice(length).every((one) => one === 0)).toBe(true);
        if (length === 0) {
          expect([new Set(row), sums[at(i)]]).toEqual([new Set([0]), -Infinity]);
        } else {
          found.push(...row);
          expect(Math.abs(weight - 1)).toBeLessThan(1e-5);
        }
      }
      if (length === 0) continue;
      const [k, v] = [sources.rows(sources.k, source, of, keyWidth), sources.rows(sources.v, source, of, valueWidth)];
      step.push({ q: queries, k, v, scale: 1 / Math.sqrt(keyWidth), visible: () => length });
    }
  }
  const rows: naive.Formula = (f, store) => step.flatMap((head) => naive.attentionHead(head, f, store).flat());
  naive.expectAsGoodAsPlain(found, rows, undefined, dtype);
  return bytes(actual);
}

const runs: [name: string, sizes: Sizes, lengths: number[], counts: number[]][] = [
  ['one query each', { heads: 2, kvHeads: 2, keyWidth: 8, valueWidth: 8 }, [5, 64, 1], [1, 1, 1]],
  ['more queries than keys', { heads: 4, kvHeads: 2, keyWidth: 16, valueWidth: 16 }, [3, 70], [9, 75]],
  ['rows that rest, sources of nothing', { heads: 3, kvHeads: 1, keyWidth: 20, valueWidth: 7 }, [0, 66, 3], [2, 0, 5]],
  ['over spans', { heads: 1, kvHeads: 1, keyWidth: 8, valueWidth: 8 }, [1100], [3]],
];

describe.each(FLOATS)('%s', (dtype) => {
  test.each(runs)('%s', async (_, sizes, lengths, counts) => {
    const random = new Random(lengths.length);
    using sources = new Sources(sizes, lengths, dtype, random);
    const q = rounded(random.normals(total(counts) * sizes.heads * sizes.keyWidth), dtype);
    await check(sources, sources.cache, counts, [...lengths.keys()], q);
  });

  test('random sizes', async () => {
    const random = new Random(7);
    for (let i = 0; i < 12; ++i) {
      const kvHeads = 1 + random.integer(3);
      const sizes = {
        heads: kvHeads * (1 + random.integer(3)),
        kvHeads,
        keyWidth: 1 + random.integer(40),
        valueWidth: 1 + random.integer(40),
      };
      const batch = 1 + random.integer(4);
      const some = (most: number) => Array.from({ length: batch }, () => random.integer(most));
      const [lengths, counts] = [some(140), some(20)];
      using sources = new Sources(sizes, lengths, dtype, random);
      const q = rounded(random.normals(total(counts) * sizes.heads * sizes.keyWidth), dtype);
      await check(sources, sources.cache, counts, [...lengths.keys()], q);
    }
  });

  test('repeated rows share pages and give the bytes of a row alone', async () => {
    const sizes = { heads: 2, kvHeads: 1, keyWidth: 12, valueWidth: 12 };
    const random = new Random(3);
    using sources = new Sources(sizes, [70, 2], dtype, random);
    using three = sources.cache.repeat(3);
    using six = three.repeat(2);
    expect(await three.lengths.data()).toEqual(Int32Array.of(70, 70, 70, 2, 2, 2));
    expect(await six.layer(0).blockTable.data()).toEqual(
      Int32Array.of(...[0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1], ...[2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3]),
    );
    expect(six.layer(0).pages.shape).toEqual(sources.cache.layer(0).pages.shape);
    const counts = [2, 1, 0, 3, 1, 4];
    const q = rounded(random.normals(total(counts) * 24), dtype);
    const all = await check(sources, three, counts, [0, 0, 0, 1, 1, 1], q);
    const second = q.subarray(2 * 24, 3 * 24);
    const alone = await check(sources, sources.cache, [1, 0], [0, 1], second);
    expect(all.subarray(2 * 24 * 4, 3 * 24 * 4).equals(alone)).toBe(true);
  });

  test('queries in chunks give the same bytes', async () => {
    const sizes = { heads: 2, kvHeads: 2, keyWidth: 16, valueWidth: 16 };
    const random = new Random(5);
    using sources = new Sources(sizes, [600], dtype, random);
    const q = rounded(random.normals(80 * 32), dtype);
    const whole = await check(sources, sources.cache, [80], [0], q);
    const parts = [q.subarray(0, 33 * 32), q.subarray(33 * 32)];
    const pieces = await Promise.all(parts.map((part) => check(sources, sources.cache, [part.length / 32], [0], part)));
    expect(Buffer.concat(pieces).equals(whole)).toBe(true);
  });
});

test('what was repeated outlives the cache, and does not see what comes later', async () => {
  const sizes = { heads: 1, kvHeads: 1, keyWidth: 4, valueWidth: 4 };
  const sources = new Sources(sizes, [3], 'float32', new Random(1));
  using twice = sources.cache.repeat(2);
  const one = tensor(new Float32Array(4).fill(9), [1, 1, 4]);
  sources.cache.append(0, one, one, int32([0, 1]));
  sources.cache.advance(int32([0, 1]));
  sources.cache.dispose();
  expect(await twice.lengths.data()).toEqual(Int32Array.of(3, 3));
  await check(sources, twice, [1, 2], [0, 0], new Random(2).normals(12));
});

test('a mask speaks of positions of which the last query has the last key', async () => {
  const sizes = { heads: 1, kvHeads: 1, keyWidth: 4, valueWidth: 4 };
  using sources = new Sources(sizes, [5], 'float32', new Random(1));
  const { weights } = attention(tensor(new Float32Array(8), [2, 1, 4]), sources.cache.layer(0), {
    ...{ cuSeqlens: int32([0, 2]), cross: true, mask: mask.causal(), returnWeights: true },
  });
  const rows = await weights.slice(2, 0, 5).data();
  expect([...rows]).toEqual([0.25, 0.25, 0.25, 0.25, 0, ...new Array<number>(5).fill(Math.fround(0.2))]);
});

test('bad input', async () => {
  const sizes = { heads: 1, kvHeads: 1, keyWidth: 4, valueWidth: 4 };
  using sources = new Sources(sizes, [5], 'float32', new Random(1));
  const q = tensor(new Float32Array(4), [1, 1, 4]);
  const cuSeqlens = int32([0, 1]);
  expect(() => attention(q, sources.cache.layer(0), { cuSeqlens, cross: 1 as unknown as boolean })).toThrow(
    new TypeError('[attention] cross must be true or false but got 1'),
  );
  expect(() =>
    attention(q.reshape([1, 1, 1, 4]), q.reshape([1, 1, 1, 4]), q.reshape([1, 1, 1, 4]), { cross: true } as object),
  ).toThrow(/\[attention\] unknown option "cross"/);
  for (const times of [0, 1.5, -1, 2 ** 30])
    expect(() => sources.cache.repeat(times)).toThrow(/\[KVCache\.repeat\] times/);
  expect(() => sources.cache.repeat('2' as unknown as number)).toThrow(TypeError);
  using twice = sources.cache.repeat(2);
  expect(() => attention(q, twice.layer(0), { cuSeqlens, cross: true })).toThrow(/cuSeqlens/);
  const wrong = attention(q, sources.cache.layer(0), { cuSeqlens: int32([0, 9]), cross: true });
  await expect(wrong.data()).rejects.toMatchObject({ name: 'RangeError', code: 'INDEX_OUT_OF_RANGE' });
});
