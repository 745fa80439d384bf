import { crossEntropy, tensor } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const loss = (row: ArrayLike<number>, label: number, smoothing: number, f: naive.Round) => {
  if (label === -100) return 0;
  const lse = naive.logSumExp(row, f);
  const mean = f(Array.from(row).reduce((a, b) => f(a + b), 0) / row.length);
  return f(f(f(1 - smoothing) * f(lse - row[label]!)) + f(smoothing * f(lse - mean)));
};

describe.each(FLOATS)('%s', (dtype) => {
  test.each([
    [3, 7, 0],
    [40, 33, 0.1],
    [5, 4099, 0.25],
    [2, 1, 1],
  ])('%i rows of %i, smoothed by %p', async (rows, width, labelSmoothing) => {
    const random = new Random(width);
    const x = rounded(random.normals(rows * width, 3), dtype);
    const labels = Int32Array.from({ length: rows }, (_, r) => (r % 3 === 1 ? -100 : random.integer(width)));
    const logits = tensor(x, [rows, width], { dtype });
    const exact = (f: naive.Round) => naive.byRow(x, width, (row, r) => [loss(row, labels[r]!, labelSmoothing, f)]);
    using losses = crossEntropy(logits, tensor(labels), { labelSmoothing, reduction: 'none' });
    expect([losses.shape, losses.dtype]).toEqual([[rows], 'float32']);
    naive.expectAsGoodAsPlain(await losses.data(), exact);
    using mean = crossEntropy(logits, tensor(labels), { labelSmoothing });
    expect([mean.shape, mean.dtype]).toEqual([[], 'float32']);
    const kept = labels.filter((label) => label !== -100).length;
    naive.expectAsGoodAsPlain(await mean.data(), (f) => [f(exact(f).reduce((a, b) => f(a + b), 0) / kept)]);
  });
});

test('of views, of none, and of classes that cannot be', async () => {
  const logits = tensor([0, 1, 2, 3, 4, 5], [3, 2]).transpose(); // rows 0 2 4 and 1 3 5
  const losses = await crossEntropy(logits, tensor(Int32Array.of(2, 0)), { reduction: 'none' }).data();
  const lse = Math.log(1 + Math.exp(-2) + Math.exp(-4));
  expect(losses[0]).toBeCloseTo(lse, 6);
  expect(losses[1]).toBeCloseTo(lse + 4, 6);
  const ignored = tensor(Int32Array.of(7, 7));
  expect(await crossEntropy(logits, ignored, { ignoreIndex: 7 }).data()).toEqual(Float32Array.of(NaN));
  expect(await crossEntropy(tensor([], [0, 4]), tensor(new Int32Array(0))).data()).toEqual(Float32Array.of(NaN));
  const impossible = tensor([0, -Infinity], [1, 2]);
  expect(await crossEntropy(impossible, tensor(Int32Array.of(1))).data()).toEqual(Float32Array.of(Infinity));
});

test('a label outside the classes makes the loss fail', async () => {
  const logits = tensor(new Float32Array(6), [2, 3]);
  for (const label of [3, -1]) {
    const result = crossEntropy(logits, tensor(Int32Array.of(0, label)));
    await expect(result.data()).rejects.toMatchObject({
      code: 'INDEX_OUT_OF_RANGE',
      message: expect.stringContaining(
        `[cross_entropy] labels[1] must be -100 or in [0, 3) but got ${label}`,
      ) as string,
    });
  }
});

test('what does not fit is refused', () => {
  const logits = tensor(new Float32Array(6), [2, 3]);
  expect(() => crossEntropy(logits, tensor(new Int32Array(3)))).toThrow(/labels must have shape \[2\] but got \[3\]/);
  expect(() => crossEntropy(logits, tensor(new Float32Array(2)))).toThrow(/labels must be int32/);
  expect(() => crossEntropy(logits, tensor(new Int32Array(2)), { labelSmoothing: 1.5 })).toThrow(/labelSmoothing/);
  expect(() => crossEntropy(logits, tensor(new Int32Array(2)), { ignoreIndex: 0.5 })).toThrow(/ignoreIndex/);
});
