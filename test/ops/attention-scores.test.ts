import { attention, bias, mask, t5Bucket, tensor, type Bias, type FloatDType, type Mask } from '#lib/index';
import { expectClose } from '../support/compare';
import { FLOATS, rounded } from '../support/dtype';
import { expectAsGoodAsPlain, type Round } from '../support/naive';
import { Random } from '../support/random';

// Random compositions of masks, biases, soft caps and sinks against the plain formula; what the masks themselves keep is
// proven in mask.test.ts.

interface Pair {
  b: number;
  h: number;
  i: number;
  j: number;
  /** Position of the query, and the distance of the key from it. */
  position: number;
  distance: number;
}
/** What is added to a pair's score; `scaled`: to q · k, before scale and soft cap. */
interface PlainBias {
  make: () => Bias;
  scaled?: (at: Pair, f: Round) => number;
  unscaled?: (at: Pair, f: Round) => number;
  value?: (at: Pair, d: number) => number;
}

interface Sizes {
  batch: number;
  heads: number;
  kvHeads: number;
  queries: number;
  keys: number;
  keyWidth: number;
  valueWidth: number;
}

class Problem {
  readonly random: Random;
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  scale: number;
  softcap: number | undefined;
  sinks: Float32Array | undefined;
  mask: Mask | undefined;
  bias: PlainBias | undefined;
  offset: number;

  constructor(
    readonly seed: number,
    readonly sizes: Sizes,
    readonly dtype: FloatDType,
  ) {
    this.random = new Random(seed);
    const { batch, heads, kvHeads, queries, keys, keyWidth, valueWidth } = sizes;
    this.q = this.normals(batch * heads * queries * keyWidth);
    this.k = this.normals(batch * kvHeads * keys * keyWidth);
    this.v = this.normals(batch * kvHeads * keys * valueWidth);
    this.scale = 1 / Math.sqrt(keyWidth);
    this.offset = keys - queries;
  }

  normals(count: number): Float32Array {
    return rounded(this.random.normals(count), this.dtype);
  }
  tensor(values: Float32Array, shape: readonly number[]) {
    return tensor(values, shape, { dtype: this.dtype });
  }
  /** [B, H, T, D]; for every other problem a view of [B, T, H, D], as projections give it. */
  heads(values: Float32Array, shape: readonly [number, number, number, number]) {
    if (this.seed % 2 === 0) return this.tensor(values, shape);
    const [batch, heads, length, width] = shape;
    const inside = values.map((_, at) => {
      const [d, row] = [at % width, Math.floor(at / width)];
      const [h, t, b] = [row % heads, Math.floor(row / heads) % length, Math.floor(row / heads / length)];
      return values[((b * heads + h) * length + t) * width + d]!;
    });
    return this.tensor(inside, [batch, length, heads, width]).transpose(1, 2);
  }

  /** Which pairs may attend. */
  async keeps(): Promise<Uint8Array> {
    const { batch, heads, queries, keys } = this.sizes;
    if (!this.mask || keys === 0) return new Uint8Array(batch * heads * queries * keys).fill(1);
    return this.mask.toArray({ queries, keys, batch, heads, offset: this.offset });
  }

  /** Masked scores, [B, H, Tq, Tk]. */
  scores(keeps: Uint8Array, f: Round): number[] {
    const { sizes, q, k, scale, softcap: cap } = this;
    const { heads, kvHeads, queries, keys, keyWidth } = sizes;
    return Array.from(keeps, (keep, at) => {
      const [j, row] = [at % keys, Math.floor(at / keys)];
      const [i, h, b] = [row % queries, Math.floor(row / queries) % heads, Math.floor(row / queries / heads)];
      const pair = { b, h, i, j, position: i + this.offset, distance: j - i - this.offset };
      const kvRow = (b * kvHeads + Math.floor(h / (heads / kvHeads))) * keys + j;
      let score = 0;
      for (let d = 0; d < keyWidth; ++d) score = f(score + f(q[row * keyWidth + d]! * k[kvRow * keyWidth + d]!));
      if (this.bias?.scaled) score = f(score + this.bias.scaled(pair, f));
      score = f(score * scale);
      if (cap !== undefined) score = f(cap * f(Math.tanh(f(score / cap))));
      if (this.bias?.unscaled) score = f(score + f(this.bias.unscaled(pair, f)));
      return keep ? score : -Infinity;
    });
  }

  /** [B, H, Tq, Tk] */
  weights(keeps: Uint8Array, f: Round): number[] {
    const { heads, queries, keys } = this.sizes;
    const scores = this.scores(keeps, f);
    const weights: number[] = [];
    for (let row = 0; row * keys < scores.length; ++row) {
      const own = scores.slice(row * keys, (row + 1) * keys);
      const sink = this.sinks?.[Math.floor(row / queries) % heads] ?? -Infinity;
      const top = Math.max(sink, ...own);
      const powers = own.map((score) => (score === -Infinity ? 0 : f(Math.exp(f(score - top)))));
      const first = sink === -Infinity ? 0 : f(Math.exp(f(sink - top)));
      const sum = powers.reduce((a, b) => f(a + b), first);
      weights.push(...powers.map((power) => (power === 0 ? 0 : f(power / sum))));
    }
    return weights;
  }

  output(keeps: Uint8Array, f: Round, store: Round): number[] {
    const { heads, kvHeads, queries, keys, valueWidth } = this.sizes;
    const weights = this.weights(keeps, f);
    return Array.from({ length: this.sizes.batch * heads * queries * valueWidth }, (_, at) => {
      const [d, row] = [at % valueWidth, Math.floor(at / valueWidth)];
      const [i, h, b] = [row % queries, Math.floor(row / queries) % heads, Math.floor(row / queries / heads)];
      const kvHead = b * kvHeads + Math.floor(h / (heads / kvHeads));
      let sum = 0;
      for (let j = 0; j < keys; ++j) {
        const distance = j - i - this.offset;
        const weight = store(weights[row * keys + j]!);
        const added = this.bias?.value?.({ b, h, i, j, position: i + this.offset, distance }, d) ?? 0;
        sum = f(sum + f(weight * f(this.v[(kvHead * keys + j) * valueWidth + d]! + added)));
      }
      return sum;
    });
  }
}

const clamp = (x: number, low: number, high: number) => Math.min(high, Math.max(low, x));

/** Every kind of bias, over a problem's sizes. */
function biases(p: Problem): Record<string, () => PlainBias> {
  const { batch, heads, kvHeads, queries, keys, keyWidth, valueWidth } = p.sizes;
  const table = (reach: number, width: number) => p.normals((2 * reach + 1) * width);
  const dot = (x: Float32Array, at: number, y: Float32Array, row: number, f: Round) => {
    let sum = 0;
    for (let d = 0; d < keyWidth; ++d) sum = f(sum + f(x[at * keyWidth + d]! * y[row * keyWidth + d]!));
    return sum;
  };
  return {
    alibi: () => ({
      make: () => bias.alibi(heads),
      unscaled: ({ h, distance }) => Math.fround(bias.alibiSlopes(heads)[h]!) * distance,
    }),
    'symmetric alibi': () => {
      const slopes = p.normals(heads);
      return {
        make: () => bias.alibi(tensor(slopes), { symmetric: true }),
        unscaled: ({ h, distance }) => -slopes[h]! * Math.abs(distance),
      };
    },
    t5: () => {
      const numBuckets = 8;
      const buckets = p.normals(numBuckets * heads);
      const maxDistance = 20;
      return {
        make: () => bias.t5(p.tensor(buckets, [numBuckets, heads]), { maxDistance }),
        unscaled: ({ h, distance }) => buckets[t5Bucket(distance, { numBuckets, maxDistance }) * heads + h]!,
      };
    },
    dense: () => {
      const values = p.normals(batch * heads * queries * keys);
      return {
        make: () => bias.dense(p.tensor(values, [batch, heads, queries, keys])),
        unscaled: ({ b, h, i, j }) => values[((b * heads + h) * queries + i) * keys + j]!,
      };
    },
    'dense over the keys, -∞ at some': () => {
      const values = p.normals(keys).map((x, j) => (j % 7 === 3 ? -Infinity : x));
      return { make: () => bias.dense(p.tensor(values, [keys])), unscaled: ({ j }) => values[j]! };
    },
    'relative keys': () => {
      const keyTable = table(3, keyWidth);
      return {
        make: () => bias.relative({ keys: p.tensor(keyTable, [7, keyWidth]) }),
        scaled: ({ b, h, i, distance }, f) =>
          dot(p.q, (b * heads + h) * queries + i, keyTable, clamp(distance, -3, 3) + 3, f),
      };
    },
    'relative queries': () => {
      const queryTable = table(20, keyWidth);
      return {
        make: () => bias.relative({ queries: p.tensor(queryTable, [41, keyWidth]) }),
        scaled: ({ b, h, j, distance }, f) => {
          const kvHead = b * kvHeads + Math.floor(h / (heads / kvHeads));
          return dot(p.k, kvHead * keys + j, queryTable, clamp(distance, -20, 20) + 20, f);
        },
      };
    },
    'relative values': () => {
      const values = table(2, valueWidth);
      return {
        make: () => bias.relative({ values: p.tensor(values, [5, valueWidth]) }),
        value: ({ distance }, d) => values[(clamp(distance, -2, 2) + 2) * valueWidth + d]!,
      };
    },
  };
}

function masks(p: Problem): Record<string, () => Mask> {
  const { batch, keys } = p.sizes;
  return {
    causal: () => mask.causal(),
    'top-left': () => mask.causal({ align: 'top-left' }),
    window: () => mask.slidingWindow(1 + p.random.integer(90)),
    dilated: () => mask.dilated(p.random.integer(30) + 1, p.random.integer(5) + 1),
    strided: () => mask.strided(p.random.integer(40) + 1),
    fixed: () => mask.fixed(16, 3),
    padding: () => mask.padding(Array.from({ length: batch }, () => p.random.integer(keys + 1))),
    'left padding': () => mask.padding(p.random.integer(keys + 1), { side: 'left' }),
    globals: () => mask.globalTokens([0, 5, 70]),
  };
}

const SIZES: Partial<Sizes>[] = [
  { queries: 1, keys: 1 },
  { queries: 1, keys: 200, heads: 6, kvHeads: 2 },
  { queries: 70, keys: 70, keyWidth: 5 },
  { queries: 9, keys: 130, heads: 3, kvHeads: 1, valueWidth: 33 },
  { queries: 20, keys: 7 },
  { queries: 5, keys: 0 },
  { queries: 4, keys: 66, keyWidth: 256, valueWidth: 3 },
  { queries: 3, keys: 65, keyWidth: 1, valueWidth: 256 },
  { queries: 3, keys: 600, heads: 1, kvHeads: 1, keyWidth: 40, valueWidth: 1 },
];

function problemOf(seed: number, dtype: FloatDType): [name: string, problem: Problem] {
  const sizes = {
    batch: 2,
    heads: 2,
    kvHeads: 2,
    queries: 1,
    keys: 1,
    keyWidth: 16,
    valueWidth: 8,
    ...SIZES[seed % SIZES.length],
  };
  const p = new Problem(seed, sizes, dtype);
  const names = [JSON.stringify(SIZES[seed % SIZES.length])];
  const draw = <T>(from: Record<string, () => T>): T => {
    const [name, make] = p.random.pick(Object.entries(from));
    names.push(name);
    return make();
  };
  const chance = () => p.random.integer(3) > 0;
  if (chance()) p.mask = draw(masks(p));
  if (p.mask && chance()) p.mask = chance() ? p.mask.and(draw(masks(p))) : p.mask.or(draw(masks(p)).not());
  if (chance()) p.bias = draw(biases(p));
  if (!chance()) {
    p.softcap = p.random.pick([0.5, 3, 30]);
    names.push(`softcap ${p.softcap}`);
  }
  if (!chance()) {
    p.sinks = Float32Array.from(p.random.normals(sizes.heads), (x, h) => (h === 1 ? -Infinity : x));
    names.push('sinks');
  }
  if (!chance()) {
    p.offset = p.random.integer(9) - 3;
    names.push(`offset ${p.offset}`);
  }
  return [names.join(', '), p];
}

describe.each(FLOATS)('%s: attention', (dtype) => {
  test.each(Array.from({ length: 60 }, (_, seed) => problemOf(seed, dtype)))('%s', async (_, p) => {
    const { batch, heads, kvHeads, queries, keys, keyWidth, valueWidth } = p.sizes;
    const keeps = await p.keeps();
    const { output, weights, scores, lse } = attention(
      p.heads(p.q, [batch, heads, queries, keyWidth]),
      p.heads(p.k, [batch, kvHeads, keys, keyWidth]),
      p.heads(p.v, [batch, kvHeads, keys, valueWidth]),
      {
        mask: p.mask,
        bias: p.bias?.make(),
        softcap: p.softcap,
        sinks: p.sinks && tensor(p.sinks),
        queryOffset: p.offset === keys - queries ? undefined : p.offset,
        returnWeights: true,
        returnScores: 'masked',
        returnLse: true,
      },
    );
    expect(weights.shape).toEqual([batch, heads, queries, keys]);
    expect(scores.shape).toEqual([batch, heads, queries, keys]);
    const empty = Array.from({ length: batch * heads * queries * valueWidth }, () => 0);
    expectAsGoodAsPlain(
      await output.data(),
      (f, store) => (keys === 0 ? empty : p.output(keeps, f, store)),
      'output',
      dtype,
    );
    expectAsGoodAsPlain(await scores.data(), (f) => p.scores(keeps, f), 'scores');
    const shares = await weights.data();
    expectAsGoodAsPlain(shares, (f) => p.weights(keeps, f), 'weights');
    // lse is the logarithm of what the weights' exponentials were divided by.
    const [values, sums] = [await scores.data(), await lse.data()];
    const expected = values.map((score, at) => Math.exp(score - sums[Math.floor(at / keys)]!) || 0);
    expectClose(shares, expected, { abs: 1e-5, rel: 1e-4 });
  });
});

describe('what is returned beside the output', () => {
  const numbers = new Random(3).normals(2 * 3 * 40 * 8);
  const x = () => tensor(numbers, [2, 3, 40, 8]);
  const options = { mask: mask.causal(), softcap: 4 };

  test('weights of some heads and rows are those of all', async () => {
    const { weights: all } = attention(x(), x(), x(), { ...options, returnWeights: true });
    const { weights: some } = attention(x(), x(), x(), { ...options, returnWeights: { heads: [2, 0], rows: [39, 7] } });
    expect(some.shape).toEqual([2, 2, 2, 40]);
    const [every, few] = [await all.data(), await some.data()];
    let at = 0;
    for (let b = 0; b < 2; ++b) {
      for (const h of [2, 0]) {
        for (const i of [39, 7]) {
          const from = ((b * 3 + h) * 40 + i) * 40;
          expect(few.slice(at, at + 40)).toEqual(every.slice(from, from + 40));
          at += 40;
        }
      }
    }
  });

  test('scores by stage', async () => {
    const stage = async (returnScores: 'qk' | 'softcap' | 'masked') =>
      attention(x(), x(), x(), { ...options, bias: bias.alibi(3), returnScores }).scores.data();
    const [qk, capped, masked] = [await stage('qk'), await stage('softcap'), await stage('masked')];
    expectClose(
      capped,
      qk.map((s) => 4 * Math.tanh(s / 4)),
      { abs: 1e-6, rel: 1e-6 },
    );
    const slopes = bias.alibiSlopes(3);
    expectClose(
      masked,
      capped.map((s, at) => {
        const [j, i, h] = [at % 40, Math.floor(at / 40) % 40, Math.floor(at / 1600) % 3];
        return j > i ? -Infinity : s + slopes[h]! * (j - i);
      }),
      { abs: 1e-5, rel: 1e-6 },
    );
  });

  test('a key that a bias masks for every query may hold NaN', async () => {
    const spoilt = numbers.slice();
    for (let b = 0; b < 6; ++b) spoilt.fill(NaN, (b * 40 + 11) * 8, (b * 40 + 12) * 8);
    const hidden = new Float32Array(40);
    hidden[11] = -Infinity;
    const run = (values: Float32Array) => {
      const kv = tensor(values, [2, 3, 40, 8]);
      return attention(x(), kv, kv, { bias: bias.dense(tensor(hidden)) }).data();
    };
    expect(await run(spoilt)).toEqual(await run(numbers));
  });
});

describe('positions', () => {
  const numbers = new Random(4).normals(1 * 2 * 6 * 8);
  const x = () => tensor(numbers, [1, 2, 6, 8]);

  test('of keys and queries, for biases', async () => {
    const positions = tensor(Int32Array.of(0, 0, 0, 1, 2, 3), [1, 6]);
    const slopes = [0.5, 0.25];
    const given = bias.alibi(slopes, { keyPositions: positions, queryPositions: positions });
    const distances = [0, 0, 0, 1, 2, 3];
    const values = slopes.flatMap((slope) => distances.flatMap((q) => distances.map((k) => slope * (k - q))));
    const dense = bias.dense(tensor(Float32Array.from(values), [1, 2, 6, 6]));
    expect(await attention(x(), x(), x(), { bias: given }).data()).toEqual(
      await attention(x(), x(), x(), { bias: dense }).data(),
    );
  });
});

test('what does not fit is refused by name', () => {
  const x = tensor(new Float32Array(2 * 4 * 8), [1, 2, 4, 8]);
  const attend = (options: object) => () => attention(x, x, x, options);
  expect(attend({ softcap: 0 })).toThrow(/\[attention\] softcap must be more than 0 but got 0/);
  expect(attend({ softcap: NaN })).toThrow(/\[attention\] softcap must be a finite number/);
  expect(attend({ bias: {} })).toThrow(/\[attention\] bias must be a bias but got an object/);
  expect(attend({ bias: bias.alibi(3) })).toThrow(
    /\[attention\] bias of shape \[3\] does not fit 1 sequences, 2 query heads/,
  );
  expect(attend({ bias: bias.dense(tensor(new Float32Array(3))) })).toThrow(/does not fit 4 queries and 4 keys/);
  expect(attend({ sinks: tensor(new Float32Array(3)) })).toThrow(
    /\[attention\] sinks must have shape \[2\] but got \[3\]/,
  );
  expect(attend({ queryOffset: [1, 2] })).toThrow(/\[attention\] queryOffset must have shape \[1\] but got \[2\]/);
  expect(attend({ returnWeights: { rows: [4] } })).toThrow(
    /returnWeights.rows\[0\] must be a whole number from 0 to 3/,
  );
  expect(attend({ returnWeights: { heads: [-1] } })).toThrow(
    /returnWeights.heads\[0\] must be a whole number from 0 to 1/,
  );
  expect(attend({ returnScores: 'weights' })).toThrow(/returnScores must be one of qk, softcap, masked/);
  expect(() => bias.alibi([1, Infinity])).toThrow(/\[bias.alibi\] slopes\[1\] must be a finite number/);
  expect(() => bias.alibi(0)).toThrow(/\[bias.alibi\] slopes must be a whole number/);
  expect(() => bias.relative({})).toThrow(/\[bias.relative\] tables must be an object with keys, queries or values/);
  expect(() => bias.relative({ keys: tensor(new Float32Array(8), [2, 4]) })).toThrow(
    /a table of an odd number of rows/,
  );
  expect(() => bias.alibi(2).plus(bias.alibi(2)).plus(bias.alibi(2)).plus(bias.alibi(2)).plus(bias.alibi(2))).toThrow(
    /may have 4 terms but would have 5/,
  );
});
