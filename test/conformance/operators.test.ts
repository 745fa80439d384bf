import type { OnnxCase, Value } from './case';
import { runCase } from './run';

// What the standard allows and its cases leave out: older opsets, absent and broadcast inputs, other dtypes.

const ARRAYS = {
  float32: (numbers: number[]) => Float32Array.from(numbers),
  float64: (numbers: number[]) => Float64Array.from(numbers),
  int64: (numbers: number[]) => BigInt64Array.from(numbers.map(BigInt)),
  // Cut, not rounded: near enough for its tolerance.
  float16: (numbers: number[]) =>
    Uint16Array.from(numbers, (x) => {
      if (x === 0) return 0;
      const exponent = Math.floor(Math.log2(Math.abs(x)));
      return (x < 0 ? 0x8000 : 0) | ((exponent + 15) << 10) | ((Math.abs(x) / 2 ** exponent - 1) * 1024);
    }),
};

function value(shape: number[], numbers: number[], dtype: keyof typeof ARRAYS = 'float32'): Value {
  const data = Buffer.from(ARRAYS[dtype](numbers).buffer).toString('base64');
  return { name: 'value', dtype, shape, data };
}

type Part = Pick<OnnxCase, 'op' | 'inputs' | 'outputs'> & Partial<OnnxCase>;
const run = async (part: Part) => runCase({ name: part.op, domain: '', opset: 24, attributes: {}, ...part });

const softmax = (row: number[]) => {
  const powers = row.map(Math.exp);
  return powers.map((power) => power / powers.reduce((a, b) => a + b));
};
const x = [0, 1, 2, 3, 4, 5, 6, 8];

test.each([12, 13])('Softmax of opset %i', async (opset) => {
  const rows = opset < 13 ? [x.slice(0, 4), x.slice(4)] : [x.slice(0, 2), x.slice(2, 4), x.slice(4, 6), x.slice(6)];
  const y = value([2, 2, 2], rows.flatMap(softmax));
  await run({ op: 'Softmax', opset, inputs: [value([2, 2, 2], x)], outputs: [y] });
  const log = value(
    [2, 2, 2],
    rows.flatMap((row) => softmax(row).map(Math.log)),
  );
  await run({ op: 'LogSoftmax', opset, inputs: [value([2, 2, 2], x)], outputs: [log] });
});

test('Softmax of opset 11 over an axis counted from the end', async () => {
  const y = value([2, 2, 2], [x.slice(0, 4), x.slice(4)].flatMap(softmax));
  await run({ op: 'Softmax', opset: 11, attributes: { axis: -2 }, inputs: [value([2, 2, 2], x)], outputs: [y] });
});

test.each(['float32', 'float64', 'float16'] as const)('Swish of %s with an alpha', async (dtype) => {
  const y = [-2, 0, 3].map((v) => v / (1 + Math.exp(-1.5 * v)));
  const inputs = [value([3], [-2, 0, 3], dtype)];
  await run({ op: 'Swish', attributes: { alpha: 1.5 }, inputs, outputs: [value([3], y, dtype)] });
});

const normalized = (row: number[]) => {
  const mean = row.reduce((a, b) => a + b) / row.length;
  const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
  return row.map((v) => (v - mean) / Math.sqrt(variance + 1e-5));
};

test('LayerNormalization without a bias, and with a scale that is broadcast', async () => {
  const rows = [x.slice(0, 4), x.slice(4)].map(normalized);
  const scale = [1, -2, 3, 4];
  const scaled = rows.flatMap((row) => row.map((v, i) => v * scale[i]!));
  const input = value([2, 4], x);
  await run({ op: 'LayerNormalization', inputs: [input, value([4], scale)], outputs: [value([2, 4], scaled)] });
  const halved = rows.flatMap((row) => row.map((v) => v / 2 + 1));
  const inputs = [input, value([1], [0.5]), value([1], [1])];
  await run({ op: 'LayerNormalization', inputs, outputs: [value([2, 4], halved), null, null] });
});

test('RMSNormalization with a scale that is broadcast', async () => {
  const root = Math.sqrt((9 + 16) / 2 + 1e-5);
  const inputs = [value([1, 2], [3, 4]), value([1], [2])];
  await run({ op: 'RMSNormalization', inputs, outputs: [value([1, 2], [6 / root, 8 / root])] });
});

test('RotaryEmbedding of three axes, part of each head', async () => {
  // Two tokens of two heads of three; the first turns by nothing, the second by a quarter.
  const cos = value([1, 2, 1], [1, 0]);
  const sin = value([1, 2, 1], [0, 1]);
  const input = value([1, 2, 6], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
  const output = value([1, 2, 6], [1, 2, 3, 4, 5, 6, -8, 7, 9, -11, 10, 12]);
  const attributes = { num_heads: 2, rotary_embedding_dim: 2 };
  await run({ op: 'RotaryEmbedding', opset: 23, attributes, inputs: [input, cos, sin], outputs: [output] });
});

test('TensorScatter without write indices, along another axis', async () => {
  const inputs = [value([1, 2, 3], [1, 2, 3, 4, 5, 6]), value([1, 2, 1], [7, 8])];
  const outputs = [value([1, 2, 3], [7, 2, 3, 8, 5, 6])];
  await run({ op: 'TensorScatter', attributes: { axis: -1 }, inputs, outputs });
});

test('TopK of opset 1 and 10, and in any order', async () => {
  const input = value([4], [3, 9, 1, 9]);
  const outputs = [value([3], [9, 9, 3]), value([3], [1, 3, 0], 'int64')];
  await run({ op: 'TopK', opset: 1, attributes: { k: 3 }, inputs: [input], outputs });
  const inputs = [input, value([1], [3], 'int64')];
  await run({ op: 'TopK', opset: 10, inputs, outputs });
  const otherwise = [value([3], [9, 3, 9]), value([3], [3, 0, 1], 'int64')];
  await run({ op: 'TopK', attributes: { sorted: 0 }, inputs, outputs: otherwise });
  await expect(run({ op: 'TopK', inputs, outputs: otherwise })).rejects.toThrow(/must be 3/);
});
