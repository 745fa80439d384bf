import {
  cast,
  defaultDevice,
  embedding,
  linear,
  packWeight,
  tensor,
  type QuantizedDType,
  type Tensor,
} from '#lib/index';
import { FLOATS, rounded } from '../support/dtype';
import { Random } from '../support/random';

// Whole numbers come out exact, so a result is the formula's to the last bit, whatever multiplies them.

const sizes: [rows: number, width: number, outputs: number][] = [
  [1, 1, 1],
  [1, 64, 64],
  [2, 3, 5],
  [3, 32, 65],
  [4, 31, 64],
  [6, 33, 130],
  [7, 96, 63],
  [8, 255, 3],
  [9, 256, 70], // with 8 rows or more, by AVX-512 with 48, int4 is widened first
  [17, 257, 66],
  [48, 64, 10],
  [49, 100, 10],
  [96, 40, 7],
  [97, 288, 20], // more rows than a block
  [200, 520, 129],
];
const QUANTIZED: QuantizedDType[] = ['int8', 'int4'];
const f = Math.fround;

/** Rows of a packed weight as the numbers that it stands for. */
async function meaning(packed: Tensor): Promise<Float32Array> {
  using rows = embedding(
    packed,
    tensor(
      Int32Array.from({ length: packed.shape[0]! }, (_, i) => i),
      [packed.shape[0]!],
      { device: packed.device },
    ),
  );
  return await rows.data();
}

const evenly = (x: number) => {
  const down = Math.floor(x);
  const rest = x - down;
  return rest < 0.5 || (rest === 0.5 && down % 2 === 0) ? down : down + 1;
};
const largest = (row: Float32Array) => row.reduce((most, x) => Math.max(most, Math.abs(x)), 0);

/** The formula of native/ops/linear.h, in float32 where it is. */
function formula(
  x: Float32Array,
  weight: Float32Array,
  means: Float32Array,
  width: number,
  steps: number,
): Float32Array {
  const [rows, outputs] = [x.length / width, weight.length / width];
  const out = new Float32Array(rows * outputs);
  const scales = Array.from({ length: outputs }, (_, n) =>
    f(largest(weight.subarray(n * width, (n + 1) * width)) / steps),
  );
  const whole = means.map((value, i) => {
    const scale = scales[Math.floor(i / width)]!;
    return scale === 0 ? 0 : Math.round(value / scale);
  });
  for (let m = 0; m < rows; ++m) {
    const row = x.subarray(m * width, (m + 1) * width);
    const most = largest(row);
    const q = Array.from(row, (value) => (most === 0 ? 0 : evenly(f(value * f(127 / most)))));
    for (let n = 0; n < outputs; ++n) {
      let sum = 0;
      for (let i = 0; i < width; ++i) sum += q[i]! * whole[n * width + i]!;
      out[m * outputs + n] = f(f(f(sum) * f(most / 127)) * scales[n]!);
    }
  }
  return out;
}

describe('quantized weights', () => {
  const table = QUANTIZED.flatMap((quantize) =>
    sizes.map(([rows, width, outputs]) => ({ quantize, rows, width, outputs })),
  );
  test.each(table)('$quantize: [$rows, K = $width] to $outputs', async ({ quantize, rows, width, outputs }) => {
    const random = new Random(rows * width + outputs);
    const weight = random.normals(outputs * width);
    using dense = tensor(weight, [outputs, width]);
    using packed = packWeight(dense, { quantize });
    expect([packed.dtype, packed.shape, packed.packed]).toEqual([quantize, [outputs, width], true]);
    const means = await meaning(packed);
    // Half a step of a row's scale; of int4 a step of a group's, or what is cut off for the sake of the others.
    let excess = 0;
    for (let n = 0; n < outputs; ++n) {
      const most = largest(weight.subarray(n * width, (n + 1) * width));
      for (let first = 0; first < width; first += 32) {
        const [from, to] = [n * width + first, n * width + Math.min(width, first + 32)];
        const group = weight.subarray(from, to);
        const allowed = quantize === 'int8' ? most / 254 : largest(group) / 7 + most / 15;
        const error = largest(group.map((value, i) => value - means[from + i]!));
        excess = Math.max(excess, error - allowed * 1.0001);
      }
    }
    expect(excess).toBe(0);
    for (const dtype of FLOATS) {
      const x = rounded(random.normals(rows * width), dtype);
      using input = tensor(x, [rows, width], { dtype });
      using y = linear(input, packed, { outDtype: 'float32' });
      const actual = await y.data();
      expect(actual).toEqual(formula(x, weight, means, width, quantize === 'int8' ? 127 : 120));
      // A row alone, and some of them, have the same bytes.
      for (const [from, to] of [
        [0, 1],
        [rows - 1, rows],
        [0, Math.ceil(rows / 2)],
      ] as const) {
        using part = linear(input.slice(0, from, to), packed, { outDtype: 'float32' });
        expect(await part.data()).toEqual(actual.subarray(from * outputs, to * outputs));
      }
      // What comes behind the product is linear's.
      using bias = tensor(rounded(random.normals(outputs), dtype), [outputs], { dtype });
      using residual = tensor(rounded(random.normals(rows * outputs), dtype), [rows, outputs], { dtype });
      using all = linear(input, packed, { bias, residual, activation: 'relu' });
      expect(all.dtype).toBe(dtype);
      const [b, r] = [await bias.data(), await residual.data()];
      const wanted = actual.map((value, i) => f(Math.max(0, f(value + b[i % outputs]!)) + r[i]!));
      expect(await all.data()).toEqual(rounded(wanted, dtype));
    }
  });

  test.each(QUANTIZED)('%s: errors on normal numbers are those of as many bits', async (quantize) => {
    const [outputs, width] = [64, 2048];
    const weight = new Random(4).normals(outputs * width);
    using packed = packWeight(tensor(weight, [outputs, width]), { quantize });
    const means = await meaning(packed);
    const square = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
    const relative = Math.sqrt(square(weight.map((value, i) => value - means[i]!)) / square(weight));
    // Of int4 with a float16 scale for each 32 numbers, 4.5 bits a number: 0.086.
    expect(relative).toBeLessThan({ int8: 0.0095, int4: 0.085 }[quantize]);
  });

  test.each(QUANTIZED)('%s: zeros, tiny and huge numbers, NaN and infinities', async (quantize) => {
    const put = (values: number[], shape: number[]) => tensor(values, shape);
    using weight = packWeight(put([0, 0, 0, 1, 1, 1, 1e-38, 0, -1e-38, 1e38, -1e38, 1e38], [4, 3]), { quantize });
    const rows = [0, 0, 0, 1, 1, 1, 1e-31, 0, 0, NaN, 0, 1, 0, Infinity, 0, 1, 0, 0];
    using y = linear(put(rows, [6, 3]), weight);
    const nan = [NaN, NaN, NaN, NaN];
    const values = [...(await y.data())];
    expect(values.slice(0, 4)).toEqual([0, 0, 0, 0]);
    expect(values[4]).toBe(0);
    expect(values[5]).toBeCloseTo(3, 1);
    expect(Math.abs(values[7]! / 1e38 - 1)).toBeLessThan({ int8: 0.02, int4: 0.2 }[quantize]);
    expect(values.slice(8, 12)).toEqual([0, 0, 0, 0]);
    expect(values.slice(12, 20)).toEqual([...nan, ...nan]);
    using broken = packWeight(put([1, NaN, 1, 1, 1, Infinity], [3, 2]), { quantize });
    expect([...(await linear(put([1, 1], [2]), broken).data())].map(Number.isNaN)).toEqual([true, false, true]);
  });

  test.each(QUANTIZED)('%s: as many inputs as there may be, all at their largest', async (quantize) => {
    const inputs = 131072;
    const ones = new Float32Array(inputs).fill(1);
    using weight = packWeight(tensor(Float32Array.from([...ones, ...ones.map((x) => -x)]), [2, inputs]), { quantize });
    for (const rows of [1, 60]) {
      const x = Float32Array.from({ length: rows * inputs }, (_, i) => (i < inputs ? 1 : -1));
      using y = linear(tensor(x, [rows, inputs]), weight);
      const values = await y.data();
      expect(values[0]! / inputs).toBeCloseTo(1, 4); // ones are -8 times their negative multiplier
      expect(values[1]! / inputs).toBeCloseTo(-1, 4);
      if (rows > 1) expect(values.slice(2, 4)).toEqual(values.slice(0, 2).map((value) => -value));
    }
  });

  test('sums of nothing are zero, whatever the scales', async () => {
    for (const quantize of QUANTIZED) {
      using weight = packWeight(tensor([0, 1e30], [1, 2]), { quantize });
      expect([...(await linear(tensor([1e30, 0], [1, 2]), weight).data())]).toEqual([0]);
    }
  });

  test('no rows, no inputs, no outputs', async () => {
    for (const quantize of QUANTIZED) {
      using none = linear(tensor([], [0, 3]), packWeight(tensor(new Float32Array(6), [2, 3]), { quantize }));
      expect([none.shape, await none.data()]).toEqual([[0, 2], new Float32Array(0)]);
      using empty = packWeight(tensor([], [3, 0]), { quantize });
      using noInputs = linear(tensor([], [2, 0]), empty, { bias: tensor([1, 2, 3]) });
      expect(await noInputs.data()).toEqual(Float32Array.of(1, 2, 3, 1, 2, 3));
      using noOutputs = linear(tensor([1, 2], [1, 2]), packWeight(tensor([], [0, 2]), { quantize }));
      expect([noOutputs.shape, await noOutputs.data()]).toEqual([[1, 0], new Float32Array(0)]);
    }
  });

  test('weights of halves, and of views', async () => {
    const values = rounded(new Random(9).normals(70 * 40), 'bfloat16');
    using whole = tensor(values, [70, 40]);
    for (const quantize of QUANTIZED) {
      const wanted = await meaning(packWeight(whole, { quantize }));
      expect(await meaning(packWeight(cast(whole, 'bfloat16'), { quantize }))).toEqual(wanted);
      const across = Float32Array.from(values, (_, i) => values[(i % 70) * 40 + Math.floor(i / 70)]!);
      expect(await meaning(packWeight(tensor(across, [40, 70]).transpose(), { quantize }))).toEqual(wanted);
    }
  });

  test('rows of a table, in a dtype', async () => {
    using packed = packWeight(tensor(new Random(2).normals(5 * 33), [5, 33]), { quantize: 'int4' });
    const means = await meaning(packed);
    using rows = embedding(packed, tensor(Int32Array.of(4, 0)), { dtype: 'bfloat16' });
    expect([rows.dtype, rows.shape]).toEqual(['bfloat16', [2, 33]]);
    const wanted = Float32Array.from([...means.subarray(4 * 33), ...means.subarray(0, 33)]);
    expect(await rows.data()).toEqual(rounded(wanted, 'bfloat16'));
    await expect(embedding(packed, tensor(Int32Array.of(5))).data()).rejects.toThrow(
      'ids[0] must be in [0, 5) but got 5',
    );
  });

  test('moved between devices they are the same', async () => {
    for (const quantize of QUANTIZED) {
      using weight = tensor(new Random(6).normals(70 * 33), [70, 33], { device: 'cpu' });
      using packed = packWeight(weight, { quantize });
      using moved = packed.to(defaultDevice());
      using back = moved.to('cpu');
      expect([moved.dtype, moved.shape, moved.packed]).toEqual([quantize, [70, 33], true]);
      const wanted = await meaning(packed);
      expect(await meaning(moved)).toEqual(wanted);
      expect(await meaning(back)).toEqual(wanted);
    }
  });

  test('what cannot be', () => {
    const weight = tensor(new Float32Array(6), [2, 3]);
    expect(() => packWeight(weight, { quantize: 'int3' as never })).toThrow(
      new RangeError(`[packWeight] quantize must be one of int8, int4 but got "int3"`),
    );
    expect(() => packWeight(weight, { bits: 8 } as never)).toThrow('bits');
    expect(() => packWeight(packWeight(weight, { quantize: 'int8' }))).toThrow('packed');
    expect(() => packWeight(tensor([1, 2]), { quantize: 'int8' })).toThrow('2 axes');
    expect(() => packWeight(tensor(Int32Array.of(1), [1, 1]), { quantize: 'int8' })).toThrow('float32');
    expect(() => packWeight(tensor(new Float32Array(131073), [1, 131073]), { quantize: 'int4' })).toThrow(
      '[pack_weight] a quantized weight has at most 131072 inputs but got shape [1, 131073]',
    );
    expect(() => linear(tensor([1, 2], [1, 2]), packWeight(weight, { quantize: 'int8' }))).toThrow('K=3');
    expect(() => tensor([1], [1], { dtype: 'int8' })).toThrow('dtype');
    expect(() => embedding(weight, tensor(Int32Array.of(0)), { dtype: 'bfloat16' })).toThrow(
      '[embedding] dtype must be float32 as table is but got bfloat16: see cast',
    );
  });
});
