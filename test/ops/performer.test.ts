import {
  attention,
  favorFeatures,
  orthogonalFeatures,
  performerAttention,
  setNumThreads,
  tensor,
  type Tensor,
} from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { expectAsGoodAsPlain, type Round } from '../support/naive';
import { Random } from '../support/random';

const [BATCH, HEADS] = [2, 3];
const bytesOf = async (x: Tensor) => Buffer.from(await x.bytes());

interface Plain {
  x: ArrayLike<number>;
  w: ArrayLike<number>;
  tokens: number;
  width: number;
  features: number;
  softmax: boolean;
  role: 'query' | 'key';
  eps: number;
  keeps: (b: number, t: number) => boolean;
}

/** Row by row, as favorFeatures' docs have it; products are float32 in the plain formula, as the op's are. */
function features({ x, w, tokens, width, features, softmax, role, eps, keeps }: Plain, f: Round): number[] {
  const scale = f(width ** -0.25);
  const rows = Array.from({ length: BATCH * HEADS * tokens }, (_, r) =>
    Array.from({ length: features }, (_, m) => {
      let sum = 0;
      for (let d = 0; d < width; ++d) sum = f(sum + f(x[r * width + d]! * w[m * width + d]!));
      return f(sum * scale);
    }),
  );
  const there = (r: number) => keeps(Math.floor(r / tokens / HEADS), r % tokens);
  const topOf = (first: number, count: number) =>
    rows
      .slice(first, first + count)
      .reduce((top, row, i) => (there(first + i) ? Math.max(top, ...row) : top), -Infinity);
  return rows.flatMap((row, r) => {
    if (!there(r)) return row.map(() => 0);
    let squares = 0;
    for (let d = 0; d < width; ++d) squares = f(squares + f(x[r * width + d]! ** 2));
    const half = f(f(squares / 2) * f(scale * scale));
    const top = role === 'query' ? topOf(r, 1) : topOf(r - (r % tokens), tokens);
    const ratio = f(1 / Math.sqrt(row.length));
    return row.map((y) => (softmax ? f(ratio * f(f(Math.exp(f(f(y - half) - top))) + eps)) : f(Math.max(y, 0) + eps)));
  });
}

describe.each(FLOATS)('%s: features', (dtype) => {
  describe.each(['softmax', 'relu'] as const)('%s', (kernel) => {
    test.each(['query', 'key'] as const)('of a %s', async (role) => {
      for (const [tokens, width, count] of [
        [1, 1, 1],
        [7, 16, 44],
        [33, 5, 70],
      ] as const) {
        const random = new Random(tokens);
        const x = rounded(random.normals(BATCH * HEADS * tokens * width), dtype);
        const w = random.normals(count * width);
        const lengths = [tokens, Math.floor(tokens / 2)];
        const marks = Uint8Array.from({ length: BATCH * tokens }, (_, i) => Number(i % 3 !== 1));
        const paddings = [
          { padding: undefined, keeps: () => true },
          { padding: lengths, keeps: (b: number, t: number) => t < lengths[b]! },
          { padding: tensor(marks, [BATCH, tokens]), keeps: (b: number, t: number) => marks[b * tokens + t] === 1 },
        ];
        for (const { padding, keeps } of paddings) {
          const put = tensor(x, [BATCH, HEADS, tokens, width], { dtype });
          const y = favorFeatures(put, tensor(w, [count, width]), { kernel, role, eps: 0.01, padding });
          expect([y.shape, y.dtype]).toEqual([[BATCH, HEADS, tokens, count], dtype]);
          const plain = { x, w, tokens, width, features: count, softmax: kernel === 'softmax', role, eps: 0.01, keeps };
          expectAsGoodAsPlain(await y.data(), (f) => features(plain, f), `${tokens} tokens`, dtype);
        }
      }
    });
  });

  test('a query has the same bytes alone and with any number of threads; so has a head of keys', async () => {
    const x = tensor(new Random(1).normals(BATCH * HEADS * 40 * 24), [BATCH, HEADS, 40, 24], { dtype });
    const w = orthogonalFeatures({ headDim: 24, numFeatures: 100, seed: 2 });
    const all = favorFeatures(x, w, { role: 'query' });
    const keys = favorFeatures(x, w, { role: 'key' });
    for (const threads of [1, 2, 4]) {
      setNumThreads(threads);
      const one = favorFeatures(x.slice(0, 1, 2).slice(2, 7, 8), w, { role: 'query' });
      expect(await bytesOf(one)).toEqual(await bytesOf(all.slice(0, 1, 2).slice(2, 7, 8)));
      const head = favorFeatures(x.slice(0, 1, 2).slice(1, 2, 3), w, { role: 'key' });
      expect(await bytesOf(head)).toEqual(await bytesOf(keys.slice(0, 1, 2).slice(1, 2, 3)));
      const across = favorFeatures(x.transpose(1, 2), w, { role: 'query' });
      expect(await bytesOf(across.transpose(1, 2))).toEqual(await bytesOf(all));
    }
  });
});

test('more features are closer to softmax attention, another seed is another estimate', async () => {
  const random = new Random(3);
  const [q, k, v] = [0, 1, 2].map(() => tensor(random.normals(2 * 20 * 16, 0.7), [1, 2, 20, 16]));
  const exact = await attention(q!, k!, v!).data();
  const errorOf = async (numFeatures: number, seed: number) => {
    const y = await performerAttention(q!, k!, v!, { numFeatures, seed }).data();
    return Math.sqrt(y.reduce((sum, value, i) => sum + (value - exact[i]!) ** 2, 0) / y.length);
  };
  const [few, many] = [await errorOf(16, 1), await errorOf(4096, 1)];
  expect(many).toBeLessThan(0.05);
  expect(many).toBeLessThan(few / 4);
  expect(await errorOf(16, 2)).not.toBe(few);
  expect(await errorOf(16, 1)).toBe(few);
});

test('causal rows do not see later values; padding and grouped heads', async () => {
  const random = new Random(4);
  const [q, k] = [tensor(random.normals(4 * 9 * 8), [1, 4, 9, 8]), tensor(random.normals(2 * 9 * 8), [1, 2, 9, 8])];
  const values = random.normals(2 * 9 * 5);
  const changed = values.map((x, i) => (Math.floor(i / 5) % 9 >= 6 ? x + 1 : x));
  const options = { causal: true, kernel: 'relu', seed: 1 } as const;
  const outputs = [values, changed].map((v) => performerAttention(q, k, tensor(v, [1, 2, 9, 5]), options));
  const [a, b] = outputs.map((y) => y.slice(2, 0, 6));
  expect(await bytesOf(a!)).toEqual(await bytesOf(b!));
  expect(await bytesOf(outputs[0]!)).not.toEqual(await bytesOf(outputs[1]!));
  const padded = [values, changed].map((v) =>
    performerAttention(q, k, tensor(v, [1, 2, 9, 5]), { padding: [6], numFeatures: 20 }),
  );
  expect(await bytesOf(padded[0]!)).toEqual(await bytesOf(padded[1]!));
});

const q = tensor(new Float32Array(24), [1, 2, 3, 4]);
const w = tensor(new Float32Array(12), [3, 4]);
const wrong: [name: string, argument: string, call: () => unknown][] = [
  ['favor_?features', 'x', () => favorFeatures(w, w, { role: 'key' })],
  ['favor_?features', 'projection', () => favorFeatures(q, q, { role: 'key' })],
  ['favor_?features', 'projection', () => favorFeatures(q, tensor(new Float32Array(15), [3, 5]), { role: 'key' })],
  [
    'favor_?features',
    'projection',
    () => favorFeatures(q, tensor(new Float32Array(12), [3, 4], { dtype: 'float16' }), { role: 'key' }),
  ],
  ['favor_?features', 'role', () => favorFeatures(q, w, undefined as never)],
  ['favor_?features', 'kernel', () => favorFeatures(q, w, { role: 'key', kernel: 'exp' as never })],
  ['favor_?features', 'eps', () => favorFeatures(q, w, { role: 'key', eps: -1 })],
  ['favor_?features', 'padding', () => favorFeatures(q, w, { role: 'key', padding: [1, 2] })],
  ['performer_?attention', 'q', () => performerAttention(1 as never, q, q)],
  ['performer_?attention', 'causal', () => performerAttention(q, q, q, { causal: 1 as never })],
  ['performer_?attention', 'redraw', () => performerAttention(q, q, q, { redraw: 1 } as never)],
  ['linear_?attention', 'v', () => performerAttention(q, q, w)],
];
test.each(wrong)('%s names %s', (name, argument, call) => {
  expect(call).toThrow(new RegExp(`\\[${name}\\].*${argument}`, 'i'));
  expect(call).toThrow(/must|unknown option/);
});
