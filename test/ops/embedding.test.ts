import { embedding, packWeight, tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { Random } from '../support/random';

const int32 = (values: number[], shape?: number[]) => tensor(values, shape, { dtype: 'int32' });

const tables: [vocabulary: number, width: number][] = [
  [1, 1],
  [5, 3],
  [64, 16],
  [65, 17],
  [200, 1],
  [130, 70],
];

const cases = FLOATS.flatMap((dtype) => tables.map(([vocabulary, width]) => ({ dtype, vocabulary, width })));
describe.each(cases)('$dtype: a table [$vocabulary, $width]', ({ dtype, vocabulary, width }) => {
  const random = new Random(vocabulary);
  const table = rounded(random.normals(vocabulary * width), dtype);
  const ids = Array.from({ length: 12 }, () => random.integer(vocabulary));
  const expected = Float32Array.from(ids.flatMap((id) => [...table.subarray(id * width, (id + 1) * width)]));

  test.each([false, true])('gives its rows (packed: %p)', async (packed) => {
    using dense = tensor(table, [vocabulary, width], { dtype });
    using weight = packed ? packWeight(dense) : dense;
    for (const shape of [[12], [3, 4], [2, 3, 2, 1, 1]]) {
      using rows = embedding(weight, int32(ids, shape));
      expect([rows.shape, rows.dtype]).toEqual([[...shape, width], dtype]);
      expect(await rows.data()).toEqual(expected);
    }
  });
});

test('of a view and with ids in a view, of one id and of none', async () => {
  using table = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  using ids = int32([0, 1, 2, 2, 1, 0], [2, 3]);
  expect(await embedding(table.transpose(), ids.transpose()).data()).toEqual(
    Float32Array.of(1, 4, 3, 6, 2, 5, 2, 5, 3, 6, 1, 4),
  );
  using row = embedding(table, int32([1], []));
  expect([row.shape, await row.data()]).toEqual([[3], Float32Array.of(4, 5, 6)]);
  using none = embedding(table, int32([], [0]));
  expect([none.shape, await none.data()]).toEqual([[0, 3], new Float32Array(0)]);
});

test('NaN and infinities come out as they are', async () => {
  for (const dtype of FLOATS) {
    using table = tensor([NaN, Infinity, -Infinity, -0], [2, 2], { dtype });
    expect(await embedding(table, int32([1, 0])).data()).toEqual(Float32Array.of(-Infinity, -0, NaN, Infinity));
  }
});

test.each([-1, 4, 2 ** 31 - 1, -(2 ** 31)])('id %i fails when the result is read', async (id) => {
  for (const packed of [false, true]) {
    using dense = tensor(new Float32Array(12), [4, 3]);
    using rows = embedding(packed ? packWeight(dense) : dense, int32([0, 3, id]));
    await expect(rows.data()).rejects.toMatchObject({
      name: 'RangeError',
      code: 'INDEX_OUT_OF_RANGE',
      message: `[embedding] ids[2] must be in [0, 4) but got ${id}`,
    });
  }
});
