import { tensor, topK } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { Random } from '../support/random';

/** Places of the k best in their order. */
function best(row: readonly number[], k: number, largest: boolean, sorted: boolean): number[] {
  const rank = (x: number) => (Number.isNaN(x) ? Infinity : x);
  const later = (a: number, b: number) => {
    const [x, y] = [row[a]!, row[b]!];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) === largest ? -1 : 1;
    if (rank(x) === rank(y)) return a - b;
    return rank(x) > rank(y) === largest ? -1 : 1;
  };
  const places = row
    .map((_, i) => i)
    .sort(later)
    .slice(0, k);
  return sorted ? places : places.sort((a, b) => a - b);
}

const options = [true, false].flatMap((largest) => [true, false].map((sorted) => ({ largest, sorted })));

describe.each([...FLOATS, 'int32'] as const)('%s', (dtype) => {
  const numbers = (count: number, seed: number) => {
    const normals = new Random(seed).normals(count, 8);
    return dtype === 'int32' ? normals.map((value) => Math.round(value) + 0) : rounded(normals, dtype);
  };

  test.each([
    [1, 1],
    [7, 3],
    [33, 33],
    [300, 10],
    [4099, 50],
    [3000, 1500],
  ])('of %i the best %i', async (width, k) => {
    const x = Array.from(numbers(3 * width, width));
    for (const option of options) {
      const { values, indices } = topK(tensor(x, [3, width], { dtype }), k, option);
      expect([values.dtype, values.shape, indices.dtype, indices.shape]).toEqual([dtype, [3, k], 'int32', [3, k]]);
      const places = [0, 1, 2].flatMap((r) =>
        best(x.slice(r * width, (r + 1) * width), k, option.largest, option.sorted),
      );
      expect(Array.from(await indices.data())).toEqual(places);
      expect(Array.from(await values.data())).toEqual(places.map((place, i) => x[Math.floor(i / k) * width + place]!));
    }
  });

  test('over another axis, and of nothing', async () => {
    const x = tensor([1, 9, 5, 2, 3, 4], [3, 2], { dtype });
    const { values, indices } = topK(x, 2, { axis: 0 });
    expect(values.shape).toEqual([2, 2]);
    expect(Array.from(await values.data())).toEqual([5, 9, 3, 4]);
    expect(Array.from(await indices.data())).toEqual([1, 0, 2, 2]);
    expect(topK(x, 0).values.shape).toEqual([3, 0]);
    expect((await topK(tensor([], [0, 4], { dtype }), 2).indices.data()).length).toBe(0);
  });
});

test.each(FLOATS)('%s: NaN is above all, and 0 and -0 are equal', async (dtype) => {
  const x = tensor([0, NaN, -0, Infinity, -Infinity, 0, NaN], [7], { dtype });
  expect(await topK(x, 7).indices.data()).toEqual(Int32Array.of(1, 6, 3, 0, 2, 5, 4));
  expect(await topK(x, 7, { largest: false }).indices.data()).toEqual(Int32Array.of(4, 0, 2, 5, 3, 1, 6));
});

test('whole numbers at the ends', async () => {
  const x = tensor(Int32Array.of(0, 2 ** 31 - 1, -(2 ** 31), -1), [4]);
  expect(await topK(x, 4).values.data()).toEqual(Int32Array.of(2 ** 31 - 1, 0, -1, -(2 ** 31)));
});

test('what does not fit is refused', () => {
  const x = tensor([1, 2, 3]);
  expect(() => topK(x, 4)).toThrow(/\[top_k\] k must be from 0 to the size of axis 0 of shape \[3\] but got 4/);
  expect(() => topK(x, 1, { axis: 1 })).toThrow(/\[top_k\] axis 1/);
  expect(() => topK(tensor(Uint8Array.of(1)), 1)).toThrow(TypeError);
});
