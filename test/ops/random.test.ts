import { dropout, nn, orthogonalFeatures, random, setNumThreads, sync, tensor, type Tensor } from '#lib/index';
import { orthogonalize } from '#lib/ops/random';
import { FLOATS, rounded } from '../support/dtype';
import { expectClose } from '../support/compare';

const bytesOf = async (x: Tensor) => Buffer.from(await x.bytes());
const SHAPE = [3, 7001];
const COUNT = 3 * 7001;

/** Philox 4x32-10 with whole numbers of any size, as the paper writes it. */
function philox(seed: number, block: number, step: number, use: number): number[] {
  const mask = 0xffffffffn;
  let key = [BigInt(seed) & mask, BigInt(seed) >> 32n];
  let counter = [BigInt(block), 0n, BigInt(step), BigInt(use)];
  for (let round = 0; round < 10; ++round) {
    const [a, b] = [0xd2511f53n * counter[0]!, 0xcd9e8d57n * counter[2]!];
    counter = [(b >> 32n) ^ counter[1]! ^ key[0]!, b & mask, (a >> 32n) ^ counter[3]! ^ key[1]!, a & mask];
    key = [(key[0]! + 0x9e3779b9n) & mask, (key[1]! + 0xbb67ae85n) & mask];
  }
  return counter.map(Number);
}
const words = (count: number, seed: number, step: number, use: number) =>
  Array.from({ length: Math.ceil(count / 4) }, (_, block) => philox(seed, block, step, use))
    .flat()
    .slice(0, count);

test('the words of a zero key and counter are those of the authors’ test vectors', () => {
  expect(philox(0, 0, 0, 0)).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
});

describe.each(FLOATS)('%s', (dtype) => {
  test('uniform numbers are words of the generator', async () => {
    const seed = 2 ** 40 + 12345;
    const unit = words(COUNT, seed, 3, 1).map((word) => Math.floor(word / 256) / 2 ** 24);
    using plain = random.uniform(SHAPE, { seed, step: 3, dtype });
    expect([plain.shape, plain.dtype]).toEqual([SHAPE, dtype]);
    expect(await plain.data()).toEqual(rounded(unit, dtype));
    using moved = random.uniform(SHAPE, { seed, step: 3, dtype, low: -2, high: 1 });
    const exact = unit.map((u) => Math.fround(-2 + Math.fround(3 * u)));
    expect(await moved.data()).toEqual(rounded(exact, dtype));
  });

  test('normal numbers are Box and Muller’s of the same words', async () => {
    const drawn = words(COUNT + 3, 7, 0, 1);
    const exact = Array.from({ length: COUNT }, (_, i) => {
      const [a, b] = [drawn[i - (i % 2)]!, drawn[i - (i % 2) + 1]!].map((word) => Math.floor(word / 256));
      const angle = (2 * Math.PI * b!) / 2 ** 24;
      return 1.5 + 0.5 * Math.sqrt(-2 * Math.log((a! + 1) / 2 ** 24)) * (i % 2 ? Math.sin(angle) : Math.cos(angle));
    });
    const unit = { float32: 2 ** -20, float16: 2 ** -9, bfloat16: 2 ** -6 }[dtype];
    expectClose(await random.normal(SHAPE, { seed: 7, mean: 1.5, std: 0.5, dtype }).data(), exact, () => unit);
  });

  test('dropout keeps and scales what the words say', async () => {
    const x = rounded(
      Array.from({ length: COUNT }, (_, i) => Math.sin(i) + 2),
      dtype,
    );
    const put = tensor(x, SHAPE, { dtype });
    for (const p of [0, 0.1, 0.5, 1]) {
      const drawn = words(COUNT, 5, 9, 2);
      const scale = Math.fround(1 / (1 - p));
      const kept = x.map((value, i) => (drawn[i]! < Math.round(p * 2 ** 32) ? 0 : Math.fround(value * scale)));
      expect(await dropout(put, { p, seed: 5, step: 9 }).data()).toEqual(rounded(kept, dtype));
    }
    const across = dropout(put.transpose(), { p: 0.5, seed: 5 });
    expect(across.shape).toEqual([7001, 3]);
    expect((await across.data()).filter((value) => value === 0).length / COUNT).toBeCloseTo(0.5, 1);
  });
});

test('the same bytes for the same seed and step, with any number of threads; others for others', async () => {
  const draws = {
    uniform: (seed: number, step: number) => random.uniform([300, 301], { seed, step }),
    normal: (seed: number, step: number) => random.normal([300, 301], { seed, step }),
    dropout: (seed: number, step: number) => dropout(tensor(new Float32Array(90300).fill(1)), { p: 0.3, seed, step }),
  };
  for (const draw of Object.values(draws)) {
    const first = await bytesOf(draw(1, 2));
    for (const threads of [1, 2, 4]) {
      setNumThreads(threads);
      expect((await bytesOf(draw(1, 2))).equals(first)).toBe(true);
    }
    for (const other of [draw(2, 2), draw(1, 3), draw(2 ** 32 + 1, 2)]) {
      expect((await bytesOf(other)).equals(first)).toBe(false);
    }
  }
  const step = tensor([2], [1], { dtype: 'int32' });
  expect(await bytesOf(random.uniform([300, 301], { seed: 1, step }))).toEqual(await bytesOf(draws.uniform(1, 2)));
});

test('moments of many numbers', async () => {
  const count = 1_000_000;
  const moments = (x: Float32Array) => {
    const mean = x.reduce((a, b) => a + b, 0) / count;
    return [mean, x.reduce((a, b) => a + (b - mean) ** 2, 0) / count];
  };
  const [mean, variance] = moments(await random.normal([count], { seed: 3 }).data());
  expect(Math.abs(mean!)).toBeLessThan(5e-3);
  expect(Math.abs(variance! - 1)).toBeLessThan(1e-2);
  const [middle, spread] = moments(await random.uniform([count], { seed: 3 }).data());
  expect(Math.abs(middle! - 0.5)).toBeLessThan(2e-3);
  expect(Math.abs(spread! - 1 / 12)).toBeLessThan(1e-3);
});

const { xavierNormal, xavierUniform, orthogonal } = nn.init;
const gram = (x: ArrayLike<number>, rows: number, columns: number, r: number, s: number) =>
  Array.from({ length: columns }, (_, c) => x[r * columns + c]! * x[s * columns + c]!).reduce((a, b) => a + b, 0);

test('Xavier’s initialisers have their deviation', async () => {
  const bound = 2 * Math.sqrt(6 / 300);
  const even = await xavierUniform([100, 200], { gain: 2, seed: 1 }).data();
  const widest = even.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  expect(widest).toBeLessThanOrEqual(bound);
  expect(widest).toBeGreaterThan(0.99 * bound);
  const normal = await xavierNormal([40, 10, 5], { seed: 1 }).data(); // 50 inputs, 200 outputs
  const variance = normal.reduce((a, b) => a + b * b, 0) / normal.length;
  expect(Math.sqrt(variance)).toBeCloseTo(Math.sqrt(2 / 250), 2);
});

test.each([
  [1, 1],
  [5, 5],
  [3, 17],
  [40, 8],
  [130, 150],
])('an orthogonal matrix of [%i, %i]', async (n, k) => {
  using matrix = orthogonal([n, k], { seed: n, gain: 3 });
  expect(matrix.shape).toEqual([n, k]);
  const [rows, columns] = n <= k ? [n, k] : [k, n];
  const x = await (n <= k ? matrix : matrix.transpose()).data();
  for (let r = 0; r < rows; ++r) {
    for (let s = 0; s <= r; ++s) expect(Math.abs(gram(x, rows, columns, r, s) - (r === s ? 9 : 0))).toBeLessThan(5e-6);
  }
  expect(await orthogonal([n, k], { seed: n + 1, gain: 3 }).data()).not.toEqual(await matrix.data());
  expect((await bytesOf(orthogonal([n, k], { seed: n, dtype: 'bfloat16' }))).length).toBe(2 * n * k);
});

test('rows that are nearly dependent, several matrices, and lengths that are kept', async () => {
  const near = [1, 0, 0, 1, 1e-6, 0, 1, 0, 1e-6];
  const both = Float32Array.from([...near, 2, 0, 0, 3, 4, 0, 0, 0, 5]);
  const y = await orthogonalize(tensor(both, [2, 3, 3])).data();
  expectClose(y, [1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 0, 1], () => 1e-6);
  const long = await orthogonalize(tensor(both.slice(9), [1, 3, 3]), { keepLengths: true, scale: 2 }).data();
  expectClose(long, [4, 0, 0, 0, 10, 0, 0, 0, 10], () => 1e-6);
  expect(() => orthogonalize(tensor(new Float32Array(6), [1, 3, 2]))).toThrow(/\[orthogonalize\] x must have no more/);
});

test('random features: orthogonal in blocks, with the lengths of normal vectors', async () => {
  const [headDim, numFeatures] = [32, 5000];
  using projection = orthogonalFeatures({ headDim, numFeatures, seed: 4 });
  expect([projection.shape, projection.dtype]).toEqual([[numFeatures, headDim], 'float32']);
  const w = await projection.data();
  const cosine = (r: number, s: number) => gram(w, numFeatures, headDim, r, s);
  for (let r = 1; r < 32; ++r) expect(Math.abs(cosine(0, r))).toBeLessThan(1e-4);
  const squares = Array.from({ length: numFeatures }, (_, r) => cosine(r, r));
  const mean = squares.reduce((a, b) => a + b, 0) / numFeatures;
  expect(Math.abs(mean / headDim - 1)).toBeLessThan(0.02); // χ² of D degrees: deviation √(2 D)
  const variance = squares.reduce((a, b) => a + (b - mean) ** 2, 0) / numFeatures;
  expect(Math.abs(variance / (2 * headDim) - 1)).toBeLessThan(0.2);
  expect(orthogonalFeatures({ headDim: 16 }).shape).toEqual([44, 16]);
  await sync();
});

const x = tensor([1, 2]);
const wrong: [name: string, argument: string, call: () => unknown][] = [
  ['random.uniform', 'shape', () => random.uniform([-1])],
  ['random.uniform', 'high', () => random.uniform([1], { low: 1, high: 0 })],
  ['random.uniform', 'low', () => random.uniform([1], { low: NaN })],
  ['random.uniform', 'low', () => random.uniform([1], { high: 1e39 })],
  ['random.uniform', 'seed', () => random.uniform([1], { seed: -1 })],
  ['random.uniform', 'step', () => random.uniform([1], { step: 0.5 })],
  ['random.uniform', 'step', () => random.uniform([1], { step: x })],
  ['random.normal', 'std', () => random.normal([1], { std: -1 })],
  ['random.normal', 'dtype', () => random.normal([1], { dtype: 'int32' as never })],
  ['random.normal', 'device', () => random.normal([1], { device: 'gpu' as never })],
  ['random.normal', 'low', () => random.normal([1], { low: 1 } as never)],
  ['dropout', 'x', () => dropout(tensor(Int32Array.of(1)), { p: 0.5 })],
  ['dropout', 'p', () => dropout(x, { p: 1.5 })],
  ['dropout', 'p', () => dropout(x, undefined as never)],
  ['dropout', 'training', () => dropout(x, { p: 0.5, training: true } as never)],
  ['xavierUniform', 'shape', () => xavierUniform([3])],
  ['xavierNormal', 'gain', () => xavierNormal([3, 3], { gain: NaN })],
  ['orthogonal', 'shape', () => orthogonal([3, 3, 3])],
  ['orthogonalFeatures', 'headDim', () => orthogonalFeatures({ headDim: 0 })],
  ['orthogonalFeatures', 'numFeatures', () => orthogonalFeatures({ headDim: 4, numFeatures: 0 })],
];
test.each(wrong)('%s names %s', (name, argument, call) => {
  expect(call).toThrow(new RegExp(`\\[${name.replace('.', '\\.')}\\].*${argument}`));
  expect(call).toThrow(/must|unknown option/);
});
