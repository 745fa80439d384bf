import { gelu, tensor, type GeluOptions } from '#lib/index';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const kinds: [options: GeluOptions, formula: (x: number, f: naive.Round) => number][] = [
  [{}, naive.gelu],
  [{ approximate: 'none' }, naive.gelu],
  [{ approximate: 'tanh' }, naive.geluTanh],
];

describe.each(kinds)('gelu with %j', (options, formula) => {
  test.each([1, 2, 15, 16, 17, 1000, 40000])('of %i elements', async (count) => {
    const x = new Random(count).normals(count, 3);
    const y = await gelu(tensor(x), options).data();
    naive.expectAsGoodAsPlain(y, (f) => Array.from(x, (value) => formula(value, f)));
  });

  test('along the axis of numbers', async () => {
    const x = Float32Array.from({ length: 4001 }, (_, i) => (i - 2000) / 100);
    const y = await gelu(tensor(x), options).data();
    naive.expectAsGoodAsPlain(y, (f) => Array.from(x, (value) => formula(value, f)));
  });

  test('keeps NaN and +∞, and large numbers', async () => {
    const y = await gelu(tensor([NaN, Infinity, 1e20, -1e20, 0]), options).data();
    expect([y[0], y[1], y[2]]).toEqual([NaN, Infinity, Math.fround(1e20)]);
    expect(Math.abs(y[3]!)).toBe(0);
    expect(y[4]).toBe(0);
  });

  test('of nothing, and of a view', async () => {
    using none = gelu(tensor([], [0, 3]), options);
    expect([none.shape, await none.data()]).toEqual([[0, 3], new Float32Array(0)]);
    using x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
    using y = gelu(x.transpose(), options);
    expect(y.shape).toEqual([3, 2]);
    expect(await y.data()).toEqual(await gelu(tensor([1, 4, 2, 5, 3, 6], [3, 2]), options).data());
  });
});
