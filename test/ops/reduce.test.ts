import { logSumExp, mean, sum, tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const total = (row: ArrayLike<number>, f: naive.Round) => Array.from(row).reduce((a, b) => f(a + b), 0);
const kinds = {
  sum: [sum, total],
  mean: [mean, (row: ArrayLike<number>, f: naive.Round) => f(total(row, f) / row.length)],
  logSumExp: [logSumExp, naive.logSumExp],
} as const;
const names = Object.keys(kinds) as (keyof typeof kinds)[];

const table = FLOATS.flatMap((dtype) => names.map((name) => ({ dtype, name })));
describe.each(table)('$dtype: $name', ({ dtype, name }) => {
  const [op, formula] = kinds[name];

  test.each([1, 2, 15, 17, 100, 4099])('of rows of %i', async (width) => {
    const x = rounded(new Random(width).normals(3 * width, 2), dtype);
    using y = op(tensor(x, [3, width], { dtype }), { axis: -1 });
    expect([y.shape, y.dtype]).toEqual([[3], dtype]);
    const exact = (f: naive.Round) => naive.byRow(x, width, (row) => [formula(row, f)]);
    naive.expectAsGoodAsPlain(await y.data(), exact, undefined, dtype);
  });

  test.each([
    [0, [3, 4], [1, 3, 4]],
    [1, [2, 4], [2, 1, 4]],
    [-1, [2, 3], [2, 3, 1]],
    [undefined, [], [1, 1, 1]],
  ])('over axis %p', async (axis, shape, kept) => {
    const x = rounded(new Random(5).normals(24), dtype);
    const input = tensor(x, [2, 3, 4], { dtype });
    const y = op(input, { axis });
    const y1 = op(input, { axis, keepAxis: true });
    expect([y.shape, y1.shape]).toEqual([shape, kept]);
    expect(await y1.data()).toEqual(await y.data());
    const sizes = [2, 3, 4];
    const at = axis === undefined ? undefined : (axis + 3) % 3;
    const groups = new Map<string, number[]>();
    for (let i = 0; i < 24; ++i) {
      const place = [Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4].filter((_, a) => a !== at);
      const group = at === undefined ? '' : place.join();
      groups.set(group, [...(groups.get(group) ?? []), x[i]!]);
    }
    expect(groups.size).toBe(at === undefined ? 1 : 24 / sizes[at]!);
    const exact = (f: naive.Round) => [...groups.values()].map((row) => formula(row, f));
    naive.expectAsGoodAsPlain(await y.data(), exact, undefined, dtype);
  });

  test('of nothing', async () => {
    const empty = { sum: 0, mean: NaN, logSumExp: -Infinity }[name];
    expect(await op(tensor([], [2, 0], { dtype }), { axis: 1 }).data()).toEqual(Float32Array.of(empty, empty));
    expect(await op(tensor([], [0], { dtype })).data()).toEqual(Float32Array.of(empty));
    expect(op(tensor([], [2, 0], { dtype }), { axis: 0 }).shape).toEqual([0]);
  });

  test('infinities and NaN', async () => {
    const x = tensor([Infinity, 1, -Infinity, -Infinity, NaN, Infinity], [3, 2], { dtype });
    expect(await op(x, { axis: 1 }).data()).toEqual(Float32Array.of(Infinity, -Infinity, NaN));
  });
});

test('what does not fit is refused', () => {
  const x = tensor([1, 2, 3]);
  expect(() => sum(x, { axis: 1 })).toThrow(/\[sum\] axis 1 is outside the shape \[3\]/);
  expect(() => mean(x, { axis: 0.5 })).toThrow(RangeError);
  expect(() => logSumExp(x, { keepAxis: 1 as never })).toThrow(/keepAxis/);
});
