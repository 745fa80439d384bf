import { matmul, tensor, type Tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Where the matrix that serves matrix `index` of `out` begins, in a dense tensor of this shape. */
function matrixOf(index: number, shape: readonly number[], out: readonly number[]): number {
  let [matrix, step] = [0, 1];
  for (let axis = 3; axis <= out.length; ++axis) {
    const own = shape.at(-axis) ?? 1;
    const all = out.at(-axis)!;
    if (axis <= shape.length && own !== 1) matrix += (index % all) * step;
    if (axis <= shape.length) step *= own;
    index = Math.floor(index / all);
  }
  return matrix * shape.at(-1)! * shape.at(-2)!;
}

function product(x: Float32Array, a: number[], y: Float32Array, b: number[], out: number[], f: naive.Round): number[] {
  const [m, n, k] = [a.at(-2)!, b.at(-1)!, a.at(-1)!];
  return Array.from({ length: size(out) }, (_, at) => {
    const [matrix, row, column] = [Math.floor(at / (m * n)), Math.floor(at / n) % m, at % n];
    const [from, to] = [matrixOf(matrix, a, out) + row * k, matrixOf(matrix, b, out) + column];
    let sum = 0;
    for (let i = 0; i < k; ++i) sum = f(sum + f(x[from + i]! * y[to + i * n]!));
    return sum;
  });
}

const shapes: [a: number[], b: number[], out: number[]][] = [
  [
    [1, 1],
    [1, 1],
    [1, 1],
  ],
  [
    [3, 5],
    [5, 4],
    [3, 4],
  ],
  [
    [1, 200],
    [200, 65],
    [1, 65],
  ],
  [
    [97, 33],
    [33, 130],
    [97, 130],
  ],
  [
    [2, 7, 6],
    [2, 6, 9],
    [2, 7, 9],
  ],
  [
    [2, 3, 7, 6],
    [6, 9],
    [2, 3, 7, 9],
  ],
  [
    [7, 6],
    [3, 6, 9],
    [3, 7, 9],
  ],
  [
    [2, 1, 5, 4],
    [3, 4, 6],
    [2, 3, 5, 6],
  ],
  [
    [0, 4],
    [4, 3],
    [0, 3],
  ],
  [
    [2, 0, 3, 4],
    [4, 3],
    [2, 0, 3, 3],
  ],
  [
    [2, 0],
    [0, 3],
    [2, 3],
  ],
];

describe.each(FLOATS)('%s', (dtype) => {
  test.each(shapes)('%j · %j is %j', async (a, b, out) => {
    const random = new Random(size(out));
    const [x, y] = [rounded(random.normals(size(a)), dtype), rounded(random.normals(size(b)), dtype)];
    const put = (values: Float32Array, shape: number[]) => tensor(values, shape, { dtype });
    using result = matmul(put(x, a), put(y, b));
    expect([result.shape, result.dtype]).toEqual([out, dtype]);
    const data = await result.data();
    naive.expectAsGoodAsPlain(data, (f) => product(x, a, y, b, out, f), undefined, dtype);

    // The same product of views: both operands stored the other way round, and as slices of something larger.
    const across = (values: Float32Array, shape: number[]) => {
      const [rows, columns] = [shape.at(-2)!, shape.at(-1)!];
      const turned = Float32Array.from(values, (_, i) => {
        const [matrix, at] = [Math.floor(i / (rows * columns)), i % (rows * columns)];
        return values[matrix * rows * columns + (at % rows) * columns + Math.floor(at / rows)]!;
      });
      return put(turned, [...shape.slice(0, -2), columns, rows]).transpose();
    };
    const within = (values: Float32Array, shape: number[]) => {
      const width = shape.at(-1)!;
      const wide = Float32Array.from({ length: (size(shape) / (width || 1)) * (width + 3) }, (_, i) => {
        const [row, at] = [Math.floor(i / (width + 3)), (i % (width + 3)) - 2];
        return at < 0 || at >= width ? NaN : values[row * width + at]!;
      });
      return put(wide, [...shape.slice(0, -1), width + 3]).slice(-1, 2, width + 2);
    };
    const views: [Tensor, Tensor][] = [
      [across(x, a), across(y, b)],
      [put(x, a), across(y, b)],
    ];
    if (size(a) > 0) views.push([within(x, a), within(y, b)]);
    for (const [left, right] of views) expect(await matmul(left, right).data()).toEqual(data);
  });

  test('a row, and a matrix of a batch, have the same bytes alone', async () => {
    const random = new Random(3);
    const x = tensor(random.normals(2 * 70 * 90), [2, 70, 90], { dtype });
    const y = tensor(random.normals(2 * 90 * 80), [2, 90, 80], { dtype });
    const all = Buffer.from(await matmul(x, y).bytes());
    const last = await matmul(x.slice(0, 1, 2).slice(1, 69, 70), y.slice(0, 1, 2)).bytes();
    expect(all.subarray(-last.length).equals(last)).toBe(true);
  });
});

test('what does not fit is refused', () => {
  const [a, b] = [tensor(new Float32Array(6), [2, 3]), tensor(new Float32Array(8), [2, 4])];
  expect(() => matmul(a, b)).toThrow(/\[matmul\] shapes \[2, 3\] and \[2, 4\] do not fit/);
  expect(() => matmul(a, tensor([1, 2, 3]))).toThrow(/\[matmul\] b must have 2 to 6 axes/);
  expect(() => matmul(a, tensor([1, 2, 3], [3, 1], { dtype: 'float16' }))).toThrow(/\[matmul\] b must be float32/);
  const batches = [tensor(new Float32Array(12), [2, 2, 3]), tensor(new Float32Array(9), [3, 3, 1])] as const;
  expect(() => matmul(...batches)).toThrow(/do not broadcast/);
});
