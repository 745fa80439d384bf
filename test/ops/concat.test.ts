import { concat, tensor } from '#lib/index';
import { FLOATS } from '../support/dtype';
import { Random } from '../support/random';

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

const cases: [shape: number[], axis: number, sizes: number[]][] = [
  [[3], 0, [3]],
  [[0, 4], 0, [2, 1, 3]],
  [[3, 0], 1, [2, 0, 5]],
  [[2, 3, 0], -1, [1, 700]],
  [[2, 0, 3], 1, Array.from({ length: 40 }, (_, i) => i % 3)],
  [[0, 3], 1, [1, 2]],
];

describe.each([...FLOATS, 'int32', 'bool'] as const)('%s', (dtype) => {
  test.each(cases)('%j along axis %i, sizes %j', async (shape, axis, sizes) => {
    const at = (axis + shape.length) % shape.length;
    const random = new Random(4);
    const parts = sizes.map((length) => {
      const own = shape.with(at, length);
      const values = Array.from({ length: size(own) }, () => random.integer(dtype === 'bool' ? 2 : 256));
      return { own, values, inner: size(own.slice(at)) };
    });
    using out = concat(
      parts.map(({ own, values }) => tensor(values, own, { dtype })),
      { axis },
    );
    const expected = Array.from({ length: size(shape.slice(0, at)) }, (_, row) =>
      parts.flatMap(({ values, inner }) => values.slice(row * inner, (row + 1) * inner)),
    ).flat();
    const total = sizes.reduce((a, b) => a + b, 0);
    expect([out.shape, out.dtype]).toEqual([shape.with(at, total), dtype]);
    expect(Array.from(await out.data())).toEqual(expected);
  });
});

test('of views', async () => {
  const x = tensor([1, 2, 3, 4, 5, 6], [2, 3]);
  expect(await concat([x.transpose(), x.transpose().slice(0, 1, 2)]).data()).toEqual(
    Float32Array.of(1, 4, 2, 5, 3, 6, 2, 5),
  );
});

test('what does not fit is refused', () => {
  const x = tensor([1, 2], [1, 2]);
  expect(() => concat([])).toThrow(/\[concat\] tensors must be at least one/);
  expect(() => concat([x, tensor([1, 2, 3], [1, 3])])).toThrow(
    /tensors\[1\] must have shape \[1, 2\] but got \[1, 3\]/,
  );
  expect(() => concat([x, tensor([1, 2])])).toThrow(/tensors\[1\]/);
  expect(() => concat([x, tensor([1, 2], [1, 2], { dtype: 'int32' })])).toThrow(/tensors\[1\] must be float32/);
  expect(() => concat([x], { axis: 2 })).toThrow(/axis 2/);
  expect(() => concat([x, 1 as never])).toThrow(/tensors\[1\] must be a Tensor/);
  expect(() => concat(x as never)).toThrow(/tensors must be an array/);
});
