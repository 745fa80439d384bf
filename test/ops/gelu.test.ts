import { gelu, tensor, type GeluOptions } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const kinds: [options: GeluOptions, formula: (x: number, f: naive.Round) => number][] = [
  [{}, naive.gelu],
  [{ approximate: 'none' }, naive.gelu],
  [{ approximate: 'tanh' }, naive.geluTanh],
];

const table = FLOATS.flatMap((dtype) => kinds.map(([options, formula]) => ({ dtype, options, formula })));
describe.each(table)('$dtype: gelu with $options', ({ dtype, options, formula }) => {
  test.each([1, 2, 15, 16, 17, 1000, 40000])('of %i elements', async (count) => {
    const x = rounded(new Random(count).normals(count, 3), dtype);
    using y = gelu(tensor(x, [count], { dtype }), options);
    expect(y.dtype).toBe(dtype);
    naive.expectAsGoodAsPlain(await y.data(), (f) => Array.from(x, (value) => formula(value, f)), undefined, dtype);
  });

  test('along the axis of numbers', async () => {
    const x = rounded(
      Array.from({ length: 4001 }, (_, i) => (i - 2000) / 100),
      dtype,
    );
    const y = await gelu(tensor(x, [4001], { dtype }), options).data();
    naive.expectAsGoodAsPlain(y, (f) => Array.from(x, (value) => formula(value, f)), undefined, dtype);
  });

  test('keeps NaN and +∞, and large numbers', async () => {
    const large = dtype === 'float16' ? 2 ** 15 : 2 ** 70;
    const y = await gelu(tensor([NaN, Infinity, large, -large, 0], [5], { dtype }), options).data();
    expect([y[0], y[1], y[2]]).toEqual([NaN, Infinity, large]);
    expect(Math.abs(y[3]!)).toBe(0);
    expect(y[4]).toBe(0);
  });

  test('of nothing, and of a view', async () => {
    using none = gelu(tensor([], [0, 3], { dtype }), options);
    expect([none.shape, await none.data()]).toEqual([[0, 3], new Float32Array(0)]);
    using x = tensor([1, 2, 3, 4, 5, 6], [2, 3], { dtype });
    using y = gelu(x.transpose(), options);
    expect(y.shape).toEqual([3, 2]);
    expect(await y.data()).toEqual(await gelu(tensor([1, 4, 2, 5, 3, 6], [3, 2], { dtype }), options).data());
  });
});
