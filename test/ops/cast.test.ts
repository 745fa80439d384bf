import { add, cast, embedding, packWeight, tensor, type DType, type QuantizedDType } from '#lib/index';
import { FLOATS, HALVES, numbersOf, round, rounded } from '../support/dtype';
import { Random } from '../support/random';

const values: Record<Exclude<DType, QuantizedDType>, number[]> = {
  float32: [0, -0, 1.5, -2.5, 1e-40, 1e39, 65520, -65519.99, 2 ** 31, -(2 ** 31), 2147483520, NaN, Infinity, -Infinity],
  float16: [0, -0, 1.5, -2.5, 2 ** -24, 65504, -65504, 0.1, NaN, Infinity, -Infinity],
  bfloat16: [0, -0, 1.5, -2.5, 2 ** -133, 3.3e38, -3.3e38, 0.1, 2 ** 31, NaN, Infinity, -Infinity],
  int32: [0, 1, -1, 257, -257, 65519, 65520, 33685504, 33685505, -33685505, 2 ** 31 - 1, -(2 ** 31)],
  bool: [0, 1, 1, 0],
};
const dtypes = Object.keys(values) as (keyof typeof values)[];

/** What an element becomes, in float64. */
function converted(x: number, to: keyof typeof values): number {
  if (to === 'bool') return Number(x !== 0);
  if (to !== 'int32') return round(x, to);
  return Number.isNaN(x) ? 0 : Math.min(2 ** 31 - 1, Math.max(-(2 ** 31), Math.trunc(x))) + 0;
}

const pairs = dtypes.flatMap((from) => dtypes.map((to) => [from, to] as const));
test.each(pairs)('%s to %s', async (from, to) => {
  const all = values[from];
  using x = tensor(all, [1, all.length], { dtype: from });
  using y = cast(x, to);
  expect([y.dtype, y.shape]).toEqual([to, [1, all.length]]);
  const exact = [...(await x.data())];
  expect([...(await y.data())]).toEqual(exact.map((value) => converted(value, to)));
});

test.each(pairs)('%s to %s, of views, of nothing and of one', async (from, to) => {
  const count = 3 * 50;
  const numbers = [...new Random(2).normals(count, 3)]
    .map((x) => Math.trunc(x) + 0)
    .map((x) => (from === 'bool' ? Number(x > 0) : x));
  using x = tensor(numbers, [3, 50], { dtype: from });
  const across = Array.from({ length: count }, (_, i) => numbers[(i % 3) * 50 + Math.floor(i / 3)]!);
  expect([...(await cast(x.transpose(), to).data())]).toEqual(across.map((value) => converted(value, to)));
  const part = cast(x.slice(1, 7, 40), to);
  expect([...(await part.data())]).toEqual(
    [0, 50, 100].flatMap((row) => numbers.slice(row + 7, row + 40)).map((value) => converted(value, to)),
  );
  expect(await cast(tensor([], [0, 3], { dtype: from }), to).data()).toHaveLength(0);
  using one = cast(tensor([1], [], { dtype: from }), to);
  expect([one.shape, ...(await one.data())]).toEqual([[], 1]);
});

test.each(HALVES)('%s: every number stays, and what lies between is rounded to the even one', async (dtype) => {
  const numbers = numbersOf(dtype);
  const all = numbers.flatMap((x, i) => {
    const middle = (x + (numbers[i + 1] ?? 2 * x)) / 2;
    return [x, middle, middle * (1 - 2 ** -23), middle * (1 + 2 ** -22)];
  });
  const floats = Float32Array.from([...all, ...all.map((x) => -x)]);
  const expected = rounded(floats, dtype);
  const same = (found: Float32Array) => found.every((x, i) => Object.is(x, expected[i]));
  using x = tensor(floats, [floats.length], { dtype });
  expect(same(await x.data())).toBe(true);
  expect(same(await cast(tensor(floats), dtype).data())).toBe(true);
  expect(same(await cast(x, 'float32').data())).toBe(true);
  // Bits: the n-th number from 0 up is n.
  const bits = new Uint16Array((await tensor(numbers, [numbers.length], { dtype }).bytes()).buffer);
  expect(bits.every((n, i) => n === i)).toBe(true);
});

test('one half to the other goes by way of their value', async () => {
  using x = tensor([1e-8, 70000, 1 + 2 ** -7, 2 ** -24, NaN], [5], { dtype: 'bfloat16' });
  expect(await cast(x, 'float16').data()).toEqual(Float32Array.of(0, Infinity, 1 + 2 ** -7, 2 ** -24, NaN));
  using y = tensor([1 + 2 ** -10, 1 + 3 * 2 ** -8, 65504, 2 ** -24], [4], { dtype: 'float16' });
  expect(await cast(y, 'bfloat16').data()).toEqual(Float32Array.of(1, 1 + 2 ** -6, 65536, 2 ** -24));
});

test.each(FLOATS)('%s: to its own dtype it is the same', async (dtype) => {
  const base = tensor([1, 2, 3], [3], { dtype });
  using same = cast(base, dtype);
  base.dispose();
  expect(await same.data()).toEqual(Float32Array.of(1, 2, 3));
});

test('then mixed operands meet', async () => {
  using a = tensor([1.5, 2], [2], { dtype: 'bfloat16' });
  using b = tensor([0.25, 1], [2], { dtype: 'float16' });
  expect(() => add(a, b)).toThrow(new TypeError('[add] b must be bfloat16 as a is but got float16: see cast'));
  expect(await add(cast(a, 'float32'), cast(b, 'float32')).data()).toEqual(Float32Array.of(1.75, 3));
});

test('a packed weight is not cast', () => {
  using packed = packWeight(tensor(new Float32Array(6), [2, 3], { dtype: 'float16' }));
  expect(() => cast(packed, 'float32')).toThrow(/\[cast\] x is packed/);
  expect(embedding(packed, tensor([1], [1], { dtype: 'int32' })).dtype).toBe('float16');
});
