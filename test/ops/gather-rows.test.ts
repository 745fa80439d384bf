import { gatherRows, tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { Random } from '../support/random';

const int32 = (values: number[]) => tensor(values, undefined, { dtype: 'int32' });

const cases: [rows: number, width: number, index: number[]][] = [
  [1, 1, [0]],
  [4, 3, [3, 0, 0, 2]],
  [4, 3, [-1, 1, -1]],
  [3, 100, [2, -1, 0, 1, 1]],
  [5, 2, []],
  [0, 2, [-1, -1]],
  [3, 0, [2, 1]],
];

const table = FLOATS.flatMap((dtype) => cases.map(([rows, width, index]) => ({ dtype, rows, width, index })));
test.each(table)('$dtype: x [$rows, $width], index $index', async ({ dtype, rows, width, index }) => {
  const x = rounded(new Random(rows).normals(rows * width), dtype);
  using result = gatherRows(tensor(x, [rows, width], { dtype }), int32(index));
  expect([result.shape, result.dtype]).toEqual([[index.length, width], dtype]);
  const row = (at: number) => (at < 0 ? new Float32Array(width) : x.subarray(at * width, (at + 1) * width));
  expect(await result.data()).toEqual(Float32Array.from(index.flatMap((at) => [...row(at)])));
});

test('of a view', async () => {
  using x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  expect(await gatherRows(x.transpose(), int32([2, 0])).data()).toEqual(Float32Array.of(3, 6, 1, 4));
});

test('a row of zeros hides NaN', async () => {
  expect(await gatherRows(tensor([NaN, NaN], [1, 2]), int32([-1])).data()).toEqual(new Float32Array(2));
});

test.each([-2, 4, -(2 ** 31)])('index %i fails when the result is read', async (at) => {
  using rows = gatherRows(tensor(new Float32Array(12), [4, 3]), int32([0, at]));
  await expect(rows.data()).rejects.toMatchObject({
    name: 'RangeError',
    code: 'INDEX_OUT_OF_RANGE',
    message: `[gather_rows] index[1] must be in [-1, 4) but got ${at}`,
  });
});

test('of int32, and of what it does not move', async () => {
  const rows = gatherRows(tensor(Int32Array.of(1, 2, 3, 4), [2, 2]), int32([1, -1, 0]));
  expect([rows.dtype, [...(await rows.data<Int32Array>())]]).toEqual(['int32', [3, 4, 0, 0, 1, 2]]);
  expect(() => gatherRows(tensor(Uint8Array.of(1), [1, 1]), int32([0]))).toThrow(
    new TypeError('[gather_rows] x must be float32, float16, bfloat16 or int32 but got bool'),
  );
});
