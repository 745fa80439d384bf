import { argmax, logSoftmax, softmax, tensor } from '#lib/index';
import { FLOATS, round, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const kinds = [
  ['softmax', softmax, naive.softmax],
  ['logSoftmax', logSoftmax, naive.logSoftmax],
] as const;

const sizes: [rows: number, width: number][] = [
  [1, 1],
  [3, 2],
  [2, 15],
  [2, 16],
  [3, 17],
  [5, 100],
  [2, 3001],
  [100, 9],
];

const table = FLOATS.flatMap((dtype) => kinds.map(([name, op, formula]) => ({ dtype, name, op, formula })));
describe.each(table)('$dtype: $name', ({ dtype, op, formula }) => {
  test.each(sizes)('[%i, %i]', async (rows, width) => {
    for (const scale of [0.01, 1, 20]) {
      const x = rounded(new Random(width).normals(rows * width, scale), dtype);
      using y = op(tensor(x, [rows, width], { dtype }));
      expect([y.shape, y.dtype]).toEqual([[rows, width], dtype]);
      const exact = (f: naive.Round) => naive.byRow(x, width, (row) => formula(row, f));
      naive.expectAsGoodAsPlain(await y.data(), exact, `scale ${scale}`, dtype);
    }
  });

  test.each([0, 1, 2, -2])('over axis %i', async (axis) => {
    const shape = [3, 4, 5];
    const x = rounded(new Random(11).normals(60), dtype);
    using y = op(tensor(x, shape, { dtype }), { axis });
    expect(y.shape).toEqual(shape);
    const at = axis < 0 ? axis + 3 : axis;
    const step = shape.slice(at + 1).reduce((a, b) => a * b, 1);
    const count = shape[at]!;
    const exact = (f: naive.Round) => {
      const out = Array.from(x);
      for (let i = 0; i < x.length; ++i) {
        if (Math.floor(i / step) % count !== 0) continue;
        const places = Array.from({ length: count }, (_, n) => i + n * step);
        const row = formula(
          places.map((place) => x[place]!),
          f,
        );
        for (const [n, place] of places.entries()) out[place] = row[n]!;
      }
      return out;
    };
    naive.expectAsGoodAsPlain(await y.data(), exact, undefined, dtype);
  });

  test('does not overflow', async () => {
    for (const offset of [3e4, -3e4, 3e38].filter((x) => Number.isFinite(round(x, dtype)))) {
      const x = rounded([offset, offset, offset], dtype);
      naive.expectAsGoodAsPlain(await op(tensor(x, [3], { dtype })).data(), (f) => formula(x, f), undefined, dtype);
    }
  });

  test('views, and rows of nothing', async () => {
    using x = tensor([1, 2, 3, 4, 5, 6], [2, 3], { dtype });
    expect(await op(x.transpose()).data()).toEqual(await op(tensor([1, 4, 2, 5, 3, 6], [3, 2], { dtype })).data());
    for (const shape of [
      [0, 4],
      [4, 0],
    ]) {
      using none = op(tensor([], shape, { dtype }));
      expect([none.shape, await none.data()]).toEqual([shape, new Float32Array(0)]);
    }
  });

  test.each([[[NaN, 1, 2]], [[1, 2, NaN]], [[Infinity, 1, 2]], [[-Infinity, -Infinity, -Infinity]]])(
    'a row of %p is NaN, its neighbour is not',
    async (row) => {
      const y = await op(tensor([...row, 1, 2, 3], [2, 3], { dtype })).data();
      expect([...y.subarray(0, 3)]).toEqual([NaN, NaN, NaN]);
      expect(y.slice(3)).toEqual(await op(tensor([1, 2, 3], [3], { dtype })).data());
    },
  );
});

test('-∞ has probability 0', async () => {
  const x = [0, -Infinity, 0];
  expect(await softmax(tensor(x)).data()).toEqual(Float32Array.of(0.5, 0, 0.5));
  expect((await logSoftmax(tensor(x)).data())[1]).toBe(-Infinity);
});

describe.each(FLOATS)('%s: argmax', (dtype) => {
  const below = (length: number, others: Record<number, number>) =>
    Array.from({ length }, (_, i) => others[i] ?? -2 - (i % 3));
  const rows: [x: number[], index: number][] = [
    [[3], 0],
    [[1, 2, 3], 2],
    [[1, 3, 3, 2], 1],
    [[-Infinity, -Infinity], 0],
    [[1, NaN, 5, NaN], 1],
    [[NaN, 1], 0],
    [[Infinity, NaN], 1],
    [[-0, 0], 0],
    [below(40, { 35: -1 }), 35],
    [below(40, { 18: -1, 33: -1 }), 18],
    [below(40, { 3: 7, 30: NaN, 39: NaN }), 30],
  ];
  test.each(rows)('of %p is %i', async (x, index) => {
    using result = argmax(tensor(x, [x.length], { dtype }));
    expect([result.dtype, result.shape, await result.data()]).toEqual(['int32', [], Int32Array.of(index)]);
  });

  test('of many rows, long ones and views', async () => {
    const random = new Random(9);
    const x = rounded(random.normals(4 * 3 * 1001), dtype);
    const best = (row: Float32Array) => row.indexOf(row.reduce((a, b) => Math.max(a, b)));
    using result = argmax(tensor(x, [4, 3, 1001], { dtype }));
    expect(result.shape).toEqual([4, 3]);
    expect(await result.data()).toEqual(
      Int32Array.from({ length: 12 }, (_, r) => best(x.subarray(r * 1001, (r + 1) * 1001))),
    );
    expect(await argmax(tensor([1, 9, 5, 2, 3, 4], [3, 2]).transpose()).data()).toEqual(Int32Array.of(1, 0));
  });

  test('of no rows', async () => {
    using none = argmax(tensor([], [0, 4]));
    expect([none.shape, await none.data()]).toEqual([[0], new Int32Array(0)]);
  });
});
