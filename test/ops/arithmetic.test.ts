import { abs, add, div, exp, log, maximum, minimum, mul, neg, sqrt, sub, tensor, where } from '#lib/index';
import { FLOATS, round, rounded } from '../support/dtype';
import { expectAsGoodAsPlain } from '../support/naive';
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

const shapes: [a: number[], b: number[], result: number[]][] = [
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

const binary = {
  add: [add, (a: number, b: number) => a + b],
  sub: [sub, (a: number, b: number) => a - b],
  mul: [mul, (a: number, b: number) => a * b],
  div: [div, (a: number, b: number) => a / b],
  maximum: [maximum, (a: number, b: number) => Math.max(a, b)],
  minimum: [minimum, (a: number, b: number) => Math.min(a, b)],
} as const;
const names = Object.keys(binary) as (keyof typeof binary)[];

const table = FLOATS.flatMap((dtype) => names.map((name) => ({ dtype, name })));
describe.each(table)('$dtype: $name', ({ dtype, name }) => {
  const [op, formula] = binary[name];
  const exact = (a: number, b: number) => round(Math.fround(formula(a, b)), dtype);

  test.each(shapes)('of %j and %j is %j', async (a, b, shape) => {
    const random = new Random(1);
    const [x, y] = [rounded(random.normals(size(a)), dtype), rounded(random.normals(size(b)), dtype)];
    using result = op(tensor(x, a, { dtype }), tensor(y, b, { dtype }));
    expect([result.shape, result.dtype]).toEqual([shape, dtype]);
    const expected = Float32Array.from({ length: size(shape) }, (_, i) =>
      exact(broadcast(x, a, shape, i), broadcast(y, b, shape, i)),
    );
    expect(await result.data()).toEqual(expected);
  });

  test('with a number on either side', async () => {
    const x = rounded(new Random(2).normals(33), dtype);
    const half = tensor(x, [3, 11], { dtype });
    expect(await op(half, 0.75).data()).toEqual(x.map((value) => exact(value, 0.75)));
    expect(await op(0.75, half).data()).toEqual(x.map((value) => exact(0.75, value)));
  });

  test('NaN stays', async () => {
    const [a, b] = [
      [NaN, 1, NaN],
      [1, NaN, NaN],
    ];
    const wide = (values: number[]) => Array.from({ length: 24 }, (_, i) => values[i % 3]!);
    const both = op(tensor(wide(a), [24], { dtype }), tensor(wide(b), [24], { dtype }));
    expect((await both.data()).every(Number.isNaN)).toBe(true);
  });
});

const unary = {
  exp: [exp, Math.exp, [-3, 0, 0.1, 8]],
  log: [log, Math.log, [1e-4, 0.5, 1, 1.001, 3, 5e4]],
  sqrt: [sqrt, Math.sqrt, [0, 1e-4, 2, 5e4]],
  neg: [neg, (x: number) => -x, [-1, 0, 3]],
  abs: [abs, Math.abs, [-1.5, 0, 3]],
} as const;

describe.each(FLOATS)('%s', (dtype) => {
  test.each(Object.entries(unary))('%s', async (_, [op, formula, points]) => {
    const positive = formula === Math.log || formula === Math.sqrt;
    const normals = new Random(4).normals(1000, 2);
    const x = rounded([...points, ...(positive ? normals.map(Math.abs).map((v) => v || 1) : normals)], dtype);
    using y = op(tensor(x, [x.length], { dtype }));
    expect([y.shape, y.dtype]).toEqual([[x.length], dtype]);
    expectAsGoodAsPlain(await y.data(), (f) => Array.from(x, (v) => f(formula(v))), undefined, dtype);
  });

  test('at the ends of the numbers', async () => {
    const x = tensor([0, Infinity, NaN, -1, 1], [5], { dtype });
    expect(await log(x).data()).toEqual(Float32Array.of(-Infinity, Infinity, NaN, NaN, 0));
    expect(await sqrt(x).data()).toEqual(Float32Array.of(0, Infinity, NaN, NaN, 1));
    expect(await neg(x).data()).toEqual(Float32Array.of(-0, -Infinity, NaN, 1, -1));
    expect((await exp(x).data()).subarray(0, 3)).toEqual(Float32Array.of(1, Infinity, NaN));
  });
});

test('the logarithm of denormals and of the largest number', async () => {
  const x = [1e-40, 1.4e-45, 3.4e38];
  const y = await log(tensor(x)).data();
  for (const [i, value] of x.entries()) expect(y[i]).toBeCloseTo(Math.log(Math.fround(value)), 4);
});

describe('where', () => {
  test('of every dtype, broadcast', async () => {
    const condition = tensor(Uint8Array.of(1, 0, 1), [3]);
    for (const dtype of [...FLOATS, 'int32', 'bool'] as const) {
      const [a, b] = [tensor([1, 0, 1, 0, 1, 1], [2, 3], { dtype }), tensor([0, 1], [2, 1], { dtype })];
      using chosen = where(condition, a, b);
      expect([chosen.shape, chosen.dtype]).toEqual([[2, 3], dtype]);
      expect(Array.from(await chosen.data())).toEqual([1, 0, 1, 0, 1, 1]);
    }
  });

  test('of views, and of one truth for all', async () => {
    const [a, b] = [tensor([1, 2, 3, 4, 5, 6], [2, 3]), tensor([10, 20, 30, 40, 50, 60], [3, 2])];
    const condition = tensor(Uint8Array.of(1, 0, 0, 1, 1, 0), [3, 2]).transpose();
    expect(await where(condition, a, b.transpose()).data()).toEqual(Float32Array.of(1, 30, 3, 20, 5, 60));
    expect(await where(tensor(Uint8Array.of(0), []), a, b.transpose()).data()).toEqual(await b.transpose().data());
    expect(where(tensor(Uint8Array.of(0), []), tensor([1], []), tensor([2], [])).shape).toEqual([]);
  });

  test('what does not fit is refused', () => {
    const [truth, x] = [tensor(Uint8Array.of(1)), tensor([1, 2])];
    expect(() => where(x, x, x)).toThrow(/\[where\] condition must be bool/);
    expect(() => where(truth, x, tensor([1, 2], [2], { dtype: 'int32' }))).toThrow(/\[where\] b must be float32/);
    expect(() => where(truth, x, tensor([1, 2, 3]))).toThrow(/do not broadcast/);
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
