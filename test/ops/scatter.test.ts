import { gatherRows, scatterRows, tensor, tensorScatter } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { Random } from '../support/random';

const int32 = (...values: number[]) => tensor(Int32Array.from(values));

describe.each(FLOATS)('%s: scatterRows', (dtype) => {
  test.each([
    [5, 4, [2, -1, 0]],
    [3, 7, [1, 1, 2, 1]],
    [4, 600, [3]],
    [2, 3, []],
  ])('into [%i, %i] at %j', async (count, width, index) => {
    const random = new Random(width);
    const x = rounded(random.normals(count * width), dtype);
    const rows = rounded(random.normals(index.length * width), dtype);
    const input = tensor(x, [count, width], { dtype });
    using out = scatterRows(input, int32(...index), tensor(rows, [index.length, width], { dtype }));
    const expected = x.slice();
    for (const [i, place] of index.entries()) {
      if (place >= 0) expected.set(rows.subarray(i * width, (i + 1) * width), place * width);
    }
    expect([out.shape, out.dtype, await out.data()]).toEqual([[count, width], dtype, expected]);
    expect(await input.data()).toEqual(x);
  });

  test('undoes what gatherRows did', async () => {
    const x = tensor(rounded(new Random(1).normals(40), dtype), [8, 5], { dtype });
    const index = int32(3, 7, 0);
    expect(await scatterRows(x, index, gatherRows(x, index)).data()).toEqual(await x.data());
  });
});

test('an index outside x makes the result fail', async () => {
  const x = tensor(new Float32Array(6), [3, 2]);
  for (const wrong of [3, -2]) {
    const out = scatterRows(x, int32(0, wrong), tensor(new Float32Array(4), [2, 2]));
    await expect(out.data()).rejects.toMatchObject({
      code: 'INDEX_OUT_OF_RANGE',
      message: `[scatter_rows] index[1] must be in [-1, 3) but got ${wrong}`,
    });
  }
});

describe('tensorScatter', () => {
  const cases: [shape: number[], axis: number | undefined, length: number, first: number[], circular: boolean][] = [
    [[3, 4, 5], undefined, 2, [1, 0, 2], false],
    [[2, 1, 4, 5], -2, 2, [3, 2], true],
    [[2, 3, 4, 5], 1, 3, [0, 0], false],
    [[2, 3, 4, 5], 3, 2, [3, 4], true],
    [[2, 6], 1, 6, [5, 13], true],
    [[1, 2, 40], -2, 0, [2], false],
  ];
  const table = ([...FLOATS, 'int32', 'bool'] as const).flatMap((dtype) => cases.map((c) => [dtype, ...c] as const));
  test.each(table)(
    '%s %j, axis %p, %i more, from %j, circular %p',
    async (dtype, shape, axis, length, first, circular) => {
      const at = axis === undefined ? shape.length - 2 : (axis + shape.length) % shape.length;
      const size = (of: readonly number[]) => of.reduce((a, b) => a * b, 1);
      const updated = shape.with(at, length);
      const random = new Random(9);
      const values = (count: number) => Array.from({ length: count }, () => random.integer(dtype === 'bool' ? 2 : 256));
      const [x, y] = [values(size(shape)), values(size(updated))];
      const mode = circular ? 'circular' : 'linear';
      const cache = tensor(x, shape, { dtype });
      using out = tensorScatter(cache, tensor(y, updated, { dtype }), int32(...first), { axis, mode });
      const expected = x.slice();
      const inner = size(shape.slice(at + 1));
      for (const [i, value] of y.entries()) {
        const [line, step] = [Math.floor(i / (inner * length)), Math.floor(i / inner) % length];
        const b = Math.floor(i / (size(updated) / shape[0]!));
        expected[(line * shape[at]! + ((first[b]! + step) % shape[at]!)) * inner + (i % inner)] = value;
      }
      expect([out.shape, out.dtype, Array.from(await out.data())]).toEqual([shape, dtype, expected]);
    },
  );

  test('without write indices from the beginning', async () => {
    const out = tensorScatter(tensor(new Float32Array(6), [1, 3, 2]), tensor([1, 2], [1, 1, 2]));
    expect(await out.data()).toEqual(Float32Array.of(1, 2, 0, 0, 0, 0));
  });

  test.each([
    ['linear', -1, 'in [0, 2]'],
    ['linear', 3, 'in [0, 2]'],
    ['circular', -1, 'at least 0'],
  ] as const)('%s: a place of %i makes the result fail', async (mode, wrong, range) => {
    const [cache, update] = [tensor(new Float32Array(24), [2, 4, 3]), tensor(new Float32Array(12), [2, 2, 3])];
    await expect(tensorScatter(cache, update, int32(0, wrong), { mode }).data()).rejects.toMatchObject({
      code: 'INDEX_OUT_OF_RANGE',
      message: `[tensor_scatter] writeIndices[1] must be ${range} but got ${wrong}`,
    });
  });

  test('what does not fit is refused', () => {
    const cache = tensor(new Float32Array(24), [2, 4, 3]);
    expect(() => tensorScatter(cache, cache, undefined, { axis: 0 })).toThrow(/axis must not be that of the batch/);
    expect(() => tensorScatter(cache, tensor(new Float32Array(30), [2, 5, 3]))).toThrow(/longer than cache/);
    expect(() => tensorScatter(cache, tensor(new Float32Array(16), [2, 4, 2]))).toThrow(/update must have shape/);
    expect(() => tensorScatter(cache, cache, int32(0))).toThrow(/writeIndices must have shape \[2\]/);
  });
});
