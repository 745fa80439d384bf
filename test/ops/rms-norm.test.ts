import { rmsNorm, tensor } from '#lib/index';
import { FLOATS, round, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const sizes: [rows: number, width: number][] = [
  [1, 1],
  [3, 7],
  [2, 16],
  [5, 17],
  [2, 1000],
  [40, 33],
];

describe.each(FLOATS)('%s', (dtype) => {
  test.each(sizes)('[%i, %i]', async (rows, width) => {
    const random = new Random(width);
    const [x, weight] = [rounded(random.normals(rows * width, 3), dtype), rounded(random.normals(width), dtype)];
    const input = tensor(x, [rows, width], { dtype });
    for (const options of [{}, { weight }, { weight, offset: 1 }]) {
      const vector = options.weight && tensor(options.weight, [width], { dtype });
      using y = rmsNorm(input, { ...options, weight: vector, eps: 1e-5 });
      expect([y.shape, y.dtype]).toEqual([[rows, width], dtype]);
      const formula = (f: naive.Round) =>
        naive.byRow(x, width, (row) => naive.rmsNorm(row, { ...options, eps: 1e-5 }, f));
      naive.expectAsGoodAsPlain(await y.data(), formula, undefined, dtype);
    }
  });

  test('what is normalized is the sum as it is, what comes along is rounded', async () => {
    const random = new Random(2);
    const [x, residual] = [rounded(random.normals(60, 9), dtype), rounded(random.normals(60), dtype)];
    const sum = x.map((value, i) => value + residual[i]!);
    const put = (values: Float32Array) => tensor(values, [4, 15], { dtype });
    const result = rmsNorm(put(x), { residual: put(residual), eps: 1e-6 });
    expect([result.sum.dtype, await result.sum.data()]).toEqual([dtype, sum.map((value) => round(value, dtype))]);
    const formula = (f: naive.Round) => naive.byRow(sum, 15, (row) => naive.rmsNorm(row, { eps: 1e-6 }, f));
    naive.expectAsGoodAsPlain(await result.output.data(), formula, undefined, dtype);
  });

  test('over several axes', async () => {
    const random = new Random(4);
    const [x, weight] = [rounded(random.normals(60), dtype), rounded(random.normals(20), dtype)];
    const put = (values: Float32Array, shape: number[]) => tensor(values, shape, { dtype });
    const y = rmsNorm(put(x, [3, 4, 5]), { weight: put(weight, [4, 5]), axis: 1, eps: 1e-5 });
    expect(y.shape).toEqual([3, 4, 5]);
    const flat = rmsNorm(put(x, [3, 20]), { weight: put(weight, [20]), eps: 1e-5 });
    expect(await y.data()).toEqual(await flat.data());
    expect(() => rmsNorm(put(x, [3, 20]), { axis: 2 })).toThrow(/\[rms_norm\] axis 2 is outside the shape \[3, 20\]/);
  });

  test('NaN stays in its row, and rows of nothing', async () => {
    const y = await rmsNorm(tensor([1, NaN, 3, 4], [2, 2], { dtype })).data();
    expect([...y.subarray(0, 2).map(Number), y.subarray(2).every(Number.isFinite)]).toEqual([NaN, NaN, true]);
    expect(await rmsNorm(tensor([], [4, 0], { dtype })).data()).toHaveLength(0);
  });
});
