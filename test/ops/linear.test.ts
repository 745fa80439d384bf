import { defaultDevice, devices, linear, packWeight, tensor, type Activation } from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { Random } from '../support/random';

const sizes: [rows: number, width: number, outputs: number][] = [
  [1, 1, 1],
  [1, 64, 64],
  [2, 3, 5],
  [3, 17, 65],
  [5, 100, 1],
  [6, 1, 130],
  [7, 33, 63],
  [13, 257, 66],
  [50, 16, 20], // more rows than a block
  [130, 300, 70], // and than one of AMX's, with more inputs than it interleaves at once
  [1, 2000, 4],
];
const activations: Activation[] = ['linear', 'gelu', 'gelu_new'];

const table = FLOATS.flatMap((dtype) => sizes.map(([rows, width, outputs]) => ({ dtype, rows, width, outputs })));
describe.each(table)('$dtype: [$rows, K = $width] to $outputs', ({ dtype, rows, width, outputs }) => {
  const random = new Random(rows * width);
  const normals = (count: number, scale = 1) => rounded(random.normals(count, scale), dtype);
  const x = normals(rows * width);
  const weight = normals(outputs * width, 1 / Math.sqrt(width));
  const bias = normals(outputs);
  const residual = normals(rows * outputs);
  const input = () => tensor(x, [rows, width], { dtype });
  const tensors = {
    bias: () => tensor(bias, [outputs], { dtype }),
    residual: () => tensor(residual, [rows, outputs], { dtype }),
  };

  test.each(activations)('activation %s, with and without bias and residual, packed or not', async (activation) => {
    for (const [withBias, withResidual] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ]) {
      const options = {
        activation,
        bias: withBias ? tensors.bias() : undefined,
        residual: withResidual ? tensors.residual() : undefined,
      };
      const numbers = { x, weight, width, activation, bias: withBias ? bias : undefined };
      const all = { ...numbers, residual: withResidual ? residual : undefined };
      using dense = tensor(weight, [outputs, width], { dtype });
      using y = linear(input(), dense, options);
      expect([y.shape, y.dtype]).toEqual([[rows, outputs], dtype]);
      const actual = await y.data();
      naive.expectAsGoodAsPlain(actual, (f) => naive.linear(all, f), undefined, dtype);
      using packed = packWeight(dense);
      expect(await linear(input(), packed, options).data()).toEqual(actual);
    }
  });

  test('as float32', async () => {
    using dense = tensor(weight, [outputs, width], { dtype });
    const options = { bias: tensors.bias(), residual: tensor(residual, [rows, outputs]) };
    using y = linear(input(), dense, { ...options, outDtype: 'float32' });
    expect(y.dtype).toBe('float32');
    naive.expectAsGoodAsPlain(await y.data(), (f) => naive.linear({ x, weight, width, bias, residual }, f));
  });
});

test('x of any rank, and views on both sides', async () => {
  const random = new Random(5);
  const [x, weight] = [random.normals(24), random.normals(12)];
  const direct = await linear(tensor(x, [8, 3]), tensor(weight, [4, 3])).data();
  using deep = linear(tensor(x, [2, 2, 2, 3]), tensor(weight, [4, 3]));
  expect([deep.shape, await deep.data()]).toEqual([[2, 2, 2, 4], direct]);
  using flat = linear(tensor(x.subarray(0, 3)), tensor(weight, [4, 3]));
  expect([flat.shape, await flat.data()]).toEqual([[4], direct.slice(0, 4)]);

  const across = (values: Float32Array, rows: number, columns: number) =>
    tensor(
      Float32Array.from({ length: values.length }, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!),
      [columns, rows],
    ).transpose();
  expect(await linear(across(x, 8, 3), across(weight, 4, 3)).data()).toEqual(direct);
  expect(await linear(across(x, 8, 3), packWeight(across(weight, 4, 3))).data()).toEqual(direct);
});

test('no rows, no inputs, no outputs', async () => {
  using noRows = linear(tensor([], [0, 3]), tensor(new Float32Array(6), [2, 3]), { bias: tensor([1, 2]) });
  expect([noRows.shape, await noRows.data()]).toEqual([[0, 2], new Float32Array(0)]);
  using noInputs = linear(tensor([], [2, 0]), tensor([], [3, 0]), { bias: tensor([1, 2, 3]) });
  expect(await noInputs.data()).toEqual(Float32Array.of(1, 2, 3, 1, 2, 3));
  using noOutputs = linear(tensor([1, 2], [1, 2]), tensor([], [0, 2]));
  expect([noOutputs.shape, await noOutputs.data()]).toEqual([[1, 0], new Float32Array(0)]);
});

describe.each(FLOATS)('%s', (dtype) => {
  const put = (values: number[], shape: number[]) => tensor(values, shape, { dtype });

  test('NaN and infinities stay in their row', async () => {
    using x = put([1, 2, NaN, 0, Infinity, 1], [3, 2]);
    using y = linear(x, packWeight(put([1, 1, -1, 0], [2, 2])));
    expect(await y.data()).toEqual(Float32Array.of(3, -1, NaN, NaN, Infinity, -Infinity));
  });

  // AMX takes denormal numbers as zero, and gives zero for them.
  const isOnTiles = dtype === 'bfloat16' && defaultDevice() === 'cpu' && devices()[0].instructionSet === 'amx';
  test(isOnTiles ? 'denormal numbers are zero' : 'denormal numbers count', async () => {
    const least = { float32: 2 ** -149, float16: 2 ** -24, bfloat16: 2 ** -133 }[dtype];
    using y = linear(put([least, 3 * least], [2]), put([1, 1, 2, -1], [2, 2]));
    expect(await y.data()).toEqual(isOnTiles ? Float32Array.of(0, 0) : Float32Array.of(4 * least, -least));
  });
});

test('sums that float16 cannot hold: beyond its largest number on the way, ∞ at the end, float32 if asked', async () => {
  const put = (values: number[], shape: number[]) => tensor(values, shape, { dtype: 'float16' });
  using x = put([60000, 60000], [2]);
  using weight = put([1, -0.5, 1, 1, -1, -1], [3, 2]);
  expect(await linear(x, weight).data()).toEqual(Float32Array.of(30000, Infinity, -Infinity));
  expect(await linear(x, weight, { outDtype: 'float32' }).data()).toEqual(Float32Array.of(30000, 120000, -120000));
  const options = { residual: put([0, -60000, 60000], [3]) };
  expect(await linear(x, weight, options).data()).toEqual(Float32Array.of(30000, 60000, -60000));
});
