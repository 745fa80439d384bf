import { layerNorm, tensor } from '#lib/index';
import { FLOATS, round, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const sizes: [rows: number, width: number][] = [
  [1, 1],
  [1, 2],
  [3, 7],
  [2, 15],
  [2, 16],
  [5, 17],
  [4, 64],
  [3, 100],
  [2, 1000],
  [40, 33],
];
const numbers: [name: string, offset: number, scale: number, eps: number][] = [
  ['ordinary', 0, 1, 1e-5],
  ['far from 0', 300, 1, 1e-5],
  ['tiny', 0, 1e-4, 1e-12],
  ['large', 0, 1e6, 0.1],
];

const table = FLOATS.flatMap((dtype) =>
  numbers
    .filter(([, , scale]) => Number.isFinite(round(10 * scale, dtype)))
    .map(([name, offset, scale, eps]) => ({ dtype, name, offset, scale, eps })),
);
describe.each(table)('$dtype: $name numbers', ({ dtype, offset, scale, eps }) => {
  test.each(sizes)('[%i, %i]', async (rows, width) => {
    const random = new Random(width);
    const x = rounded(
      random.normals(rows * width, scale).map((value) => value + offset),
      dtype,
    );
    const [weight, bias] = [rounded(random.normals(width), dtype), rounded(random.normals(width), dtype)];
    const vector = (values: Float32Array) => tensor(values, [width], { dtype });
    const formula = (w?: Float32Array, b?: Float32Array) => (f: naive.Round) =>
      naive.byRow(x, width, (row) => naive.layerNorm(row, { weight: w, bias: b, eps }, f));
    const input = tensor(x, [rows, width], { dtype });
    const y = layerNorm(input, { weight: vector(weight), bias: vector(bias), eps });
    expect([y.shape, y.dtype]).toEqual([[rows, width], dtype]);
    naive.expectAsGoodAsPlain(await y.data(), formula(weight, bias), 'with weight and bias', dtype);
    const weighted = await layerNorm(input, { weight: vector(weight), eps }).data();
    naive.expectAsGoodAsPlain(weighted, formula(weight), 'weight', dtype);
    naive.expectAsGoodAsPlain(await layerNorm(input, { eps }).data(), formula(), 'plain', dtype);
  });
});

test.each(FLOATS)('%s: a residual is added first, and the sum comes along', async (dtype) => {
  const random = new Random(2);
  const [x, residual] = [rounded(random.normals(60), dtype), rounded(random.normals(60), dtype)];
  const sum = x.map((value, i) => value + residual[i]!);
  const put = (values: Float32Array) => tensor(values, [2, 3, 10], { dtype });
  const result = layerNorm(put(x), { residual: put(residual) });
  expect([result.output.shape, result.sum.shape]).toEqual([
    [2, 3, 10],
    [2, 3, 10],
  ]);
  expect(await result.sum.data()).toEqual(rounded(sum, dtype));
  // Halves are normalized before the sum is rounded.
  expect(await result.output.data()).toEqual(rounded(await layerNorm(tensor(sum, [6, 10])).data(), dtype));
});

const axes: [shape: number[], axis: number, width: number][] = [
  [[3, 4], 0, 12],
  [[3, 4], -2, 12],
  [[2, 3, 5], 1, 15],
  [[2, 3, 4, 5], 2, 20],
  [[2, 3, 4, 5], -3, 60],
  [[2, 3, 4, 5], 3, 5],
];

describe.each(FLOATS)('%s', (dtype) => {
  test.each(axes)('%j from axis %i on', async (shape, axis, width) => {
    const random = new Random(width);
    const count = shape.reduce((a, b) => a * b, 1);
    const normals = (n: number) => rounded(random.normals(n), dtype);
    const [x, residual, weight, bias] = [normals(count), normals(count), normals(width), normals(width)];
    const put = (values: Float32Array, of: number[]) => tensor(values, of, { dtype });
    const row = shape.slice(axis < 0 ? axis + shape.length : axis);
    const options = { weight: put(weight, row), bias: put(bias, row), residual: put(residual, shape), axis };
    const { output, sum } = layerNorm(put(x, shape), options);
    expect([output.shape, sum.shape]).toEqual([shape, shape]);
    const rows = [count / width, width];
    const expected = layerNorm(put(x, rows), {
      weight: put(weight, [width]),
      bias: put(bias, [width]),
      residual: put(residual, rows),
    });
    expect(await output.data()).toEqual(await expected.output.data());
    expect(await sum.data()).toEqual(await expected.sum.data());
  });

  test('mean and inverse deviation on request', async () => {
    const x = rounded(
      new Random(8).normals(6 * 37, 3).map((value) => value + 2),
      dtype,
    );
    const input = tensor(x, [2, 3, 37], { dtype });
    const { output, mean, inverseDeviation } = layerNorm(input, { returnStats: true, eps: 0.1 });
    expect([mean.shape, mean.dtype, inverseDeviation.shape]).toEqual([[2, 3, 1], 'float32', [2, 3, 1]]);
    const sums = (f: naive.Round) => (row: ArrayLike<number>) =>
      Array.from(row).reduce((total, value) => f(total + value), 0);
    const means = (f: naive.Round) => naive.byRow(x, 37, (row) => [f(sums(f)(row) / 37)]);
    naive.expectAsGoodAsPlain(await mean.data(), means, 'mean');
    const inverse = (f: naive.Round) =>
      naive.byRow(x, 37, (row, r) => {
        const center = means(f)[r]!;
        const squares = sums(f)(Array.from(row, (value) => f(f(value - center) * f(value - center))));
        return [f(1 / f(Math.sqrt(f(f(squares / 37) + 0.1))))];
      });
    naive.expectAsGoodAsPlain(await inverseDeviation.data(), inverse, 'inverse deviation');
    expect(await output.data()).toEqual(await layerNorm(input, { eps: 0.1 }).data());
    const all = layerNorm(input, { returnStats: true, residual: input, axis: 1 });
    expect([all.sum.shape, all.mean.shape]).toEqual([
      [2, 3, 37],
      [2, 1, 1],
    ]);
  });

  test('with the unbiased deviation', async () => {
    const x = rounded(new Random(9).normals(5 * 23), dtype);
    const weight = rounded(new Random(10).normals(23), dtype);
    const y = layerNorm(tensor(x, [5, 23], { dtype }), {
      unbiased: true,
      eps: 1e-3,
      weight: tensor(weight, [23], { dtype }),
    });
    const formula = (f: naive.Round) =>
      naive.byRow(x, 23, (row) => naive.layerNorm(row, { weight, eps: 1e-3, unbiased: true }, f));
    naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
    expect(await layerNorm(tensor([1, 2], [2, 1], { dtype }), { unbiased: true }).data()).toEqual(
      Float32Array.of(NaN, NaN),
    );
  });
});

test('views, and rows of nothing', async () => {
  const random = new Random(3);
  const x = random.normals(12);
  const across = Float32Array.from({ length: 12 }, (_, i) => x[(i % 4) * 3 + Math.floor(i / 4)]!); // [3, 4]
  expect(await layerNorm(tensor(across, [3, 4]).transpose()).data()).toEqual(await layerNorm(tensor(x, [4, 3])).data());
  for (const shape of [
    [0, 4],
    [4, 0],
  ]) {
    using none = layerNorm(tensor([], shape));
    expect([none.shape, await none.data()]).toEqual([shape, new Float32Array(0)]);
  }
});

test('a constant row gives the bias, also of width 1', async () => {
  using y = layerNorm(tensor([5, 5, 5, 5], [2, 2]), { bias: tensor([1, -2]) });
  expect(await y.data()).toEqual(Float32Array.of(1, -2, 1, -2));
  expect(await layerNorm(tensor([7, -3], [2, 1]), { bias: tensor([0.5]) }).data()).toEqual(Float32Array.of(0.5, 0.5));
});

test('NaN and infinities stay in their row', async () => {
  const y = await layerNorm(tensor([1, NaN, 3, 1, 2, 3, 1, Infinity, 3], [3, 3])).data();
  expect([...y.subarray(0, 3), ...y.subarray(6)].every(Number.isNaN)).toBe(true);
  expect(y.slice(3, 6)).toEqual(await layerNorm(tensor([1, 2, 3], [1, 3])).data());
});
