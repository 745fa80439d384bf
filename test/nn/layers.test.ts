import { add, cast, embedding, gated, memory, nn, sync, tensor, type Tensor } from '#lib/index';
import { expectClose, OPS } from '../support/compare';
import { FLOATS, rounded } from '../support/dtype';
import * as naive from '../support/naive';
import { normalsOf } from '../support/normals';

const normals = normalsOf(31);

const WIDTH = 12;
const x = normals([3, WIDTH], 2);
const given = { weight: normals([WIDTH]), bias: normals([WIDTH]) };

/** (x - mean) / deviation · weight + bias, row by row. */
async function normalized(deviation: (squares: number) => number, centred: boolean, bias: boolean) {
  const [values, weight, offset] = await Promise.all([x.data(), given.weight.data(), given.bias.data()]);
  return Float64Array.from(values, (value, at) => {
    const row = values.subarray(at - (at % WIDTH), at - (at % WIDTH) + WIDTH);
    const mean = centred ? row.reduce((sum, one) => sum + one, 0) / WIDTH : 0;
    const squares = row.reduce((sum, one) => sum + (one - mean) ** 2, 0);
    return ((value - mean) / deviation(squares)) * weight[at % WIDTH]! + (bias ? offset[at % WIDTH]! : 0);
  });
}

test('norms', async () => {
  const source = nn.parameters(given);
  const eps = 0.1;
  const cases = [
    [new nn.LayerNorm(source, '', { width: WIDTH, eps }), (s: number) => Math.sqrt(s / WIDTH + eps), true, true],
    [
      new nn.LayerNorm(source, '', { width: WIDTH, bias: false }),
      (s: number) => Math.sqrt(s / WIDTH + 1e-5),
      true,
      false,
    ],
    [
      new nn.LayerNorm(source, '', { width: WIDTH, unbiased: true, eps }),
      (s: number) => Math.sqrt(s / (WIDTH - 1)) + eps,
      true,
      true,
    ],
    [new nn.RMSNorm(source, '', { width: WIDTH, eps }), (s: number) => Math.sqrt(s / WIDTH + eps), false, false],
  ] as const;
  for (const [layer, deviation, centred, bias] of cases) {
    expectClose(await layer.forward(x).data(), await normalized(deviation, centred, bias), OPS);
    layer[Symbol.dispose]();
  }
  expect(given.weight.disposed).toBe(false);
});

describe.each([
  ['relu', false],
  ['gelu', false],
  ['silu', true], // SwiGLU
  ['gelu', true], // GEGLU
  ['sigmoid', true], // GLU
] as const)('feed-forward layer with %s, gated: %s', (activation, isGated) => {
  test('is its formula', async () => {
    const options = { width: WIDTH, innerWidth: 20, activation, gated: isGated, feedForwardBias: true };
    const source = nn.initialParameters({ seed: 3 });
    using layer = new nn.FeedForward(source, 'ff', options);
    const again = nn.initialParameters({ seed: 3 });
    // The initializer gives the same tensors for the same order of parameters.
    const load = (part: string, shape: [number, number]) => nn.Linear.load(again, `ff.${part}`, shape, true);
    const gate = isGated ? load('gate', [20, WIDTH]) : undefined;
    const up = load('up', [20, WIDTH]);
    const down = load('down', [WIDTH, 20]);
    const inner = gate ? gated(gate.forward(x), up.forward(x), { activation }) : up.forward(x, { activation });
    const expected = add(x, down.forward(inner));
    expectClose(await layer.forward(x, x).data(), await expected.data(), OPS);
    const first = await up.forward(x).data();
    const activated = await up.forward(x, { activation }).data();
    expectClose(
      activated,
      first.map((value) => naive.activations[activation](value, (one) => one)),
      OPS,
    );
  });
});

const ids = tensor(Int32Array.of(3, 0, 6, 6, 1, 2), [2, 3]);
const table = normals([7, WIDTH]);
const places = normals([5, WIDTH]);
const tables = { weight: table, 'positions.weight': places };
const embed = (more: object, tensors: Record<string, Tensor> = tables) =>
  new nn.TokenEmbedding(nn.parameters(tensors), '', { vocabSize: 7, width: WIDTH, ...more });

describe.each(FLOATS)('TokenEmbedding in %s', (dtype) => {
  const own = Object.fromEntries(Object.entries(tables).map(([key, one]) => [key, cast(one, dtype)]));
  const tokens = embedding(own.weight!, ids);
  const scale = { float32: 1e-6, float16: 2e-3, bfloat16: 2e-2 }[dtype];
  const close = async (actual: Tensor, expected: ArrayLike<number>) => {
    expect([actual.shape, actual.dtype]).toEqual([[2, 3, WIDTH], dtype]);
    expectClose(await actual.data(), expected, { abs: 4 * scale, rel: scale });
  };

  test('rows of a table, times √C', async () => {
    expect(await embed({}, own).forward(ids).bytes()).toEqual(await tokens.bytes());
    const scaled = (await tokens.data()).map((value) => value * Math.sqrt(WIDTH));
    await close(embed({ scaled: true }, own).forward(ids), scaled);
  });

  test('learned positions, from an offset or as given', async () => {
    using layer = embed({ positions: 'learned', maxPositions: 5 }, own);
    const [vectors, rows] = await Promise.all([tokens.data(), own['positions.weight']!.data()]);
    const sum = (placeOf: (b: number, t: number) => number) =>
      vectors.map((value, at) => {
        const [token, c] = [Math.floor(at / WIDTH), at % WIDTH];
        return value + rows[placeOf(Math.floor(token / 3), token % 3) * WIDTH + c]!;
      });
    await close(
      layer.forward(ids),
      sum((_, t) => t),
    );
    await close(
      layer.forward(ids, { offset: 2 }),
      sum((_, t) => t + 2),
    );
    const positions = tensor(Int32Array.of(0, 0, 1, 4, 3, 2), [2, 3]);
    await close(
      layer.forward(ids, { positions }),
      sum(
        (b, t) =>
          [
            [0, 0, 1],
            [4, 3, 2],
          ][b]![t]!,
      ),
    );
    const beyond = layer.forward(ids, { positions: tensor(Int32Array.of(0, 0, 5, 0, 0, 0), [2, 3]) });
    await expect(beyond.data()).rejects.toThrow(RangeError);
  });

  test('sinusoids, and the table as output head', async () => {
    using layer = embed({ scaled: true, positions: 'sinusoidal', maxPositions: 9 }, own);
    const sinusoids = rounded(nn.sinusoidalPositions({ length: 9, dim: WIDTH }), dtype);
    const vectors = await tokens.data();
    await close(
      layer.forward(ids, { offset: 6 }),
      vectors.map(
        (value, at) => value * Math.sqrt(WIDTH) + sinusoids[(6 + (Math.floor(at / WIDTH) % 3)) * WIDTH + (at % WIDTH)]!,
      ),
    );
    const logits = layer.logits(tokens);
    expect([logits.shape, logits.dtype]).toEqual([[2, 3, 7], 'float32']);
    const rows = await own.weight!.data();
    const expected = Float64Array.from({ length: 6 * 7 }, (_, at) => {
      let sum = 0;
      for (let c = 0; c < WIDTH; ++c) sum += vectors[Math.floor(at / 7) * WIDTH + c]! * rows[(at % 7) * WIDTH + c]!;
      return sum;
    });
    expectClose(await logits.data(), expected, { abs: 1e-5, rel: 1e-5 });
  });
});

test('an embedding drops in training only', async () => {
  using layer = embed({ dropout: 0.5 });
  const plain = await layer.forward(ids).data();
  const dropped = await layer.forward(ids, { training: true, seed: 4 }).data();
  expectClose(
    dropped,
    plain.map((value, i) => (dropped[i] === 0 ? 0 : 2 * value)),
    OPS,
  );
  expect(dropped.some((value) => value === 0)).toBe(true);
  expect(await layer.forward(ids, { mcDropout: true, seed: 4 }).data()).toEqual(dropped);
});

test('parameters to start from: norms 1, biases 0, weights within their bounds, each its own', async () => {
  const make = (seed: number) => nn.initialParameters({ seed });
  const source = make(1);
  const [norm, bias, first, second] = await Promise.all([
    source.dense('norm1.weight', [4]).data(),
    source.dense('in_proj_bias', [4]).data(),
    source.dense('a.weight', [20, 30]).data(),
    source.dense('b.weight', [20, 30]).data(),
  ]);
  expect([...norm, ...bias]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
  const bound = Math.sqrt(6 / 50);
  expect(first.every((value) => Math.abs(value) <= bound)).toBe(true);
  expect(Math.max(...first)).toBeGreaterThan(0.9 * bound);
  expect(second).not.toEqual(first);
  const half = nn.initialParameters({ dtype: 'float16' }).dense('x.weight', [2, 2, 2]);
  expect([half.dtype, half.shape]).toEqual(['float16', [2, 2, 2]]);
  // Seeds next to each other share no weight.
  const next = make(2);
  const weights = await Promise.all(
    ['norm1.weight', 'a.weight'].map((path, i) => next.dense(path, i ? [20, 30] : [4]).data()),
  );
  expect(weights[1]).not.toEqual(first);
  expect(weights[1]).not.toEqual(second);
});

test('a function makes parameters, too', async () => {
  const asked: string[] = [];
  const source = nn.parameters((path, shape) => {
    asked.push(`${path} [${shape.join(', ')}]`);
    return normals([...shape]);
  });
  using layer = new nn.TransformerEncoderLayer(source, 'layers.0', { width: 8, numHeads: 2, innerWidth: 6 });
  expect(asked).toContain('layers.0.self_attn.in_proj_weight [24, 8]');
  expect(asked).toContain('layers.0.norm2.bias [8]');
  expect((await layer.forward(normals([1, 2, 8])).data()).every(Number.isFinite)).toBe(true);
});

test('layers give back all that they took', async () => {
  const drawn = nn.initialParameters({ seed: 6 });
  const sizes = { width: WIDTH, numHeads: 2 };
  const states = { queryWidth: WIDTH, keyWidth: WIDTH };
  const y = normals([1, 4, WIDTH]);
  const stack = { ...sizes, innerWidth: 8, numEncoderLayers: 2, numDecoderLayers: 1, dropout: 0.1 };
  const layers: (() => { layer: Disposable; output: Tensor | nn.LuongContext })[] = [
    () => running(new nn.MultiHeadAttention(drawn, '', sizes), (one) => one.forward(y)),
    () => running(new nn.Transformer(drawn, '', stack), (one) => one.forward(y, y, { training: true })),
    () => running(new nn.BahdanauAttention(drawn, '', { ...states, width: 5 }), (one) => one.forward(y, y)),
    () => running(new nn.LuongAttention(drawn, '', { ...states, score: 'concat' }), (one) => one.forward(y, y)),
    () =>
      running(new nn.LuongAttention(drawn, '', { ...states, score: 'local-p', windowSize: 2 }), (one) =>
        one.forward(y, y),
      ),
    () => running(new nn.PerformerAttention(drawn, '', sizes), (one) => one.forward(y)),
    () =>
      running(new nn.LinformerAttention(drawn, '', { ...sizes, maxLength: 6, numProjected: 3 }), (one) =>
        one.forward(y),
      ),
    () => running(new nn.LayerNorm(drawn, '', { width: WIDTH }), (one) => one.forward(y)),
  ];
  await sync();
  const { live } = memory();
  for (const run of layers) {
    const { layer, output } = run();
    for (const part of 'weights' in output ? Object.values(output) : [output]) (part as Tensor).dispose();
    layer[Symbol.dispose]();
    await sync();
    expect(memory().live).toBeLessThanOrEqual(live); // less: tensors that other tests forgot are collected meanwhile
  }
});

function running<Layer extends Disposable, Output>(layer: Layer, run: (layer: Layer) => Output) {
  return { layer, output: run(layer) };
}

const source = nn.parameters(given);
const wrong: [message: RegExp, call: () => unknown][] = [
  [/\[LayerNorm\] width must be/, () => new nn.LayerNorm(source, '', {} as never)],
  [/\[LayerNorm\] eps must be at least 0/, () => new nn.LayerNorm(source, '', { width: WIDTH, eps: -1 })],
  [/\[LayerNorm\] unbiased must be/, () => new nn.LayerNorm(source, '', { width: WIDTH, unbiased: 1 as never })],
  [/\[RMSNorm\] unknown option "bias"/, () => new nn.RMSNorm(source, '', { width: WIDTH, bias: true } as never)],
  [/\[parameters\] weight must be of shape \[5\]/, () => new nn.RMSNorm(source, '', { width: 5 })],
  [/\[TokenEmbedding\] vocabSize must be/, () => embed({ vocabSize: 0 })],
  [/\[TokenEmbedding\] positions must be one of/, () => embed({ positions: 'rotary' })],
  [/\[TokenEmbedding\] maxPositions must be/, () => embed({ positions: 'learned' })],
  [/\[TokenEmbedding\] scaled must be/, () => embed({ scaled: 2 })],
  [/\[TokenEmbedding\] dropout must be/, () => embed({ dropout: 2 })],
  [/\[TokenEmbedding\] ids must be of shape \[B, T\]/, () => embed({}).forward(ids.reshape([6]))],
  [
    /\[TokenEmbedding\] ids must be of at most 2 positions/,
    () => embed({ positions: 'sinusoidal', maxPositions: 2 }).forward(ids),
  ],
  [/\[TokenEmbedding\] positions must be absent/, () => embed({}).forward(ids, { positions: ids })],
  [/\[TokenEmbedding\] offset must be/, () => embed({}).forward(ids, { offset: -1 })],
  [/\[initialParameters\] unknown option "gain"/, () => nn.initialParameters({ gain: 1 } as never)],
  [/\[initialParameters\] seed must be/, () => nn.initialParameters({ seed: -1 })],
];
test.each(wrong)('%s', (message, call) => {
  expect(call).toThrow(message);
});
