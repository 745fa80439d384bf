import { add, tensor } from '#lib/index';
import { FLOATS, round, rounded } from '../support/dtype';
import { Random } from '../support/random';

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** The element of x (`shape`) that stands at row-major place `at` of a tensor of `wide`, with NumPy's broadcasting. */
function broadcast(x: Float32Array, shape: readonly number[], wide: readonly number[], at: number): number {
  let [index, step] = [0, 1];
  for (let axis = 1; axis <= wide.length; ++axis) {
    const [own, all] = [shape.at(-axis) ?? 1, wide.at(-axis)!];
    if (axis <= shape.length && own !== 1) index += (at % all) * step;
    if (axis <= shape.length) step *= own;
    at = Math.floor(at / all);
  }
  return x[index]!;
}

const shapes: [a: number[], b: number[], sum: number[]][] = [
  [[1], [1], [1]],
  [[7], [7], [7]],
  [
    [3, 5],
    [3, 5],
    [3, 5],
  ],
  [[3, 5], [5], [3, 5]],
  [[3, 5], [1], [3, 5]],
  [
    [3, 1],
    [1, 5],
    [3, 5],
  ],
  [[5], [4, 3, 1], [4, 3, 5]],
  [
    [2, 1, 3, 1],
    [4, 1, 6],
    [2, 4, 3, 6],
  ],
  [
    [2, 1, 2, 1, 2, 1],
    [2, 1, 2, 1, 3],
    [2, 2, 2, 2, 2, 3],
  ],
  [[2, 40000], [40000], [2, 40000]], // more than one tile
  [[0, 3], [3], [0, 3]],
  [
    [0, 1],
    [1, 4],
    [0, 4],
  ],
];

describe.each(FLOATS)('%s', (dtype) => {
  test.each(shapes)('%j + %j is %j', async (a, b, sum) => {
    const random = new Random(1);
    const [x, y] = [rounded(random.normals(size(a)), dtype), rounded(random.normals(size(b)), dtype)];
    using result = add(tensor(x, a, { dtype }), tensor(y, b, { dtype }));
    expect([result.shape, result.dtype]).toEqual([sum, dtype]);
    const expected = Float32Array.from({ length: size(sum) }, (_, i) =>
      round(Math.fround(broadcast(x, a, sum, i) + broadcast(y, b, sum, i)), dtype),
    );
    expect(await result.data()).toEqual(expected);
  });
});

test('views are added as they lie', async () => {
  using x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  using y = tensor([10, 20, 30, 40, 50, 60], [3, 2]);
  expect(await add(x.transpose(), y).data()).toEqual(Float32Array.of(11, 24, 32, 45, 53, 66));
  expect(await add(x.slice(1, 1, 3), y.slice(0, 1, 3)).data()).toEqual(Float32Array.of(32, 43, 55, 66));
});

test('follows IEEE 754 with infinities and NaN', async () => {
  for (const dtype of FLOATS) {
    const large = dtype === 'float16' ? 6e4 : 3e38;
    const put = (values: number[]) => tensor(values, [5], { dtype });
    using sum = add(put([Infinity, -Infinity, NaN, large, -0]), put([-Infinity, -Infinity, 1, large, -0]));
    expect(await sum.data()).toEqual(Float32Array.of(NaN, -Infinity, NaN, Infinity, -0));
  }
});
