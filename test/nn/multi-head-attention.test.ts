import { bias, cast, KVCache, mask, nn, tensor, type Mask, type Tensor } from '#lib/index';
import { expectClose, OPS } from '../support/compare';
import { FLOATS } from '../support/dtype';
import { Fixture, fixtureNames, type Stored, type Values } from '../support/fixtures';
import { multiHeadParameters, normalsOf } from '../support/normals';

const float32 = ({ data, shape }: Values) => tensor(Float32Array.from(data), shape);

interface Case {
  name: string;
  params: { embed_dim: number; num_heads: number; kdim: number | null; vdim: number | null; bias: boolean };
  inputs: Record<string, Stored>;
  outputs: Record<string, Stored>;
}

if (fixtureNames('ops').includes('multihead')) {
  const fixture = new Fixture<{ cases: Case[] }>('ops/multihead');
  test.each(fixture.cases.cases.map((one) => [`multihead: ${one.name}`, one] as const))(
    '%s',
    async (_, { params, inputs, outputs }) => {
      const values = Object.fromEntries(Object.entries(inputs).map(([key, stored]) => [key, fixture.value(stored)]));
      const weights = Object.entries(values).filter(([key]) => key.startsWith('param.'));
      const source = nn.parameters(
        Object.fromEntries(weights.map(([key, value]) => [key.slice('param.'.length), float32(value)])),
      );
      using layer = new nn.MultiHeadAttention(source, '', {
        width: params.embed_dim,
        numHeads: params.num_heads,
        keyWidth: params.kdim ?? undefined,
        valueWidth: params.vdim ?? undefined,
        bias: params.bias,
      });
      // In this module true means: not allowed. A mask may have an axis for batch × heads.
      const [batch] = values.query!.shape;
      const allowed = ({ data }: Values, shape: number[]) =>
        mask.dense(tensor(Uint8Array.from(data, Number), shape)).not();
      const pieces: Mask[] = [];
      if (values.key_padding_mask) {
        pieces.push(allowed(values.key_padding_mask, [batch!, 1, 1, values.key_padding_mask.shape[1]!]));
      }
      if (values.attn_mask) {
        const [queries, keys] = values.attn_mask.shape.slice(-2);
        const outer = values.attn_mask.shape.length === 3 ? [batch!, params.num_heads] : [1, 1];
        pieces.push(allowed(values.attn_mask, [...outer, queries!, keys!]));
      }
      const whole = pieces.reduce<Mask | undefined>((all, one) => all?.and(one) ?? one, undefined);
      const result = layer.forward(float32(values.query!), {
        keys: float32(values.key!),
        values: float32(values.value!),
        mask: whole,
        returnWeights: true,
      });
      const plain = layer.forward(float32(values.query!), {
        keys: float32(values.key!),
        values: float32(values.value!),
        mask: whole,
      });
      for (const [key, actual] of [
        ['out', result.output],
        ['out', plain],
        ['weights', result.weights],
      ] as const) {
        const expected = fixture.value(outputs[key]!);
        expect(actual.shape).toEqual(expected.shape);
        expectClose(await actual.data(), expected.data, OPS, `${key}: element`);
      }
    },
  );
} else {
  test.skip('no fixtures: ops/multihead', () => undefined);
}

const [BATCH, TOKENS, WIDTH, HEADS] = [2, 5, 24, 3];
const HEAD = WIDTH / HEADS;
const normals = normalsOf(7);
const given = multiHeadParameters(normals, WIDTH);
const options = { width: WIDTH, numHeads: HEADS };
const make = (more: Partial<nn.MultiHeadAttentionOptions> = {}, tensors: Record<string, Tensor> = given) =>
  new nn.MultiHeadAttention(nn.parameters(tensors), '', { ...options, ...more });
const x = normals([BATCH, TOKENS, WIDTH]);

test('projections that are separate, fused, and fused by head are the same', async () => {
  // [3, H, D, …] → [H, 3, D, …]
  const perHead = (stacked: Tensor) => {
    const rest = stacked.shape.slice(1);
    return stacked
      .reshape([3, HEADS, HEAD, ...rest])
      .transpose(0, 1)
      .reshape([3 * WIDTH, ...rest]);
  };
  const fused = { in_proj_weight: perHead(given.in_proj_weight), in_proj_bias: perHead(given.in_proj_bias) };
  using stacked = make();
  using heads = make({ projection: 'fusedByHead' }, { ...given, ...fused });
  const [q_proj_weight, k_proj_weight, v_proj_weight] = [0, 1, 2].map((i) =>
    given.in_proj_weight.slice(0, i * WIDTH, (i + 1) * WIDTH),
  ) as [Tensor, Tensor, Tensor];
  using three = make({ projection: 'separate' }, { ...given, q_proj_weight, k_proj_weight, v_proj_weight });
  const expected = await stacked.forward(x).data();
  expect(await heads.forward(x).data()).toEqual(expected);
  expect(await three.forward(x).data()).toEqual(expected);
});

test.each(FLOATS)('steps over a cache have the bytes of one causal pass, in %s', async (dtype) => {
  const tensors = Object.fromEntries(Object.entries(given).map(([key, one]) => [key, cast(one, dtype)]));
  using layer = make({}, tensors);
  const whole = cast(x, dtype);
  const expected = await layer.forward(whole, { mask: mask.causal(), bias: bias.alibi(HEADS) }).bytes();
  using cache = new KVCache({ numLayers: 1, batch: BATCH, capacity: TOKENS, numKvHeads: HEADS, headDim: HEAD, dtype });
  const parts: Uint8Array[] = [];
  const counts = [3, 1, 1];
  for (const [at, count] of counts.entries()) {
    const begin = counts.slice(0, at).reduce((a, b) => a + b, 0);
    const tokens = whole.slice(1, begin, begin + count).reshape([BATCH * count, WIDTH]);
    const cuSeqlens = tensor(Int32Array.from({ length: BATCH + 1 }, (_, b) => b * count));
    const y = layer.step(tokens, { cache, cuSeqlens, bias: bias.alibi(HEADS) });
    cache.advance(cuSeqlens);
    parts.push(await y.reshape([BATCH, count * WIDTH]).bytes());
  }
  const row = expected.length / BATCH;
  for (let b = 0; b < BATCH; ++b) {
    const rows = parts.map((part) => part.subarray((b * part.length) / BATCH, ((b + 1) * part.length) / BATCH));
    expect(Buffer.concat(rows)).toEqual(Buffer.from(expected.subarray(b * row, (b + 1) * row)));
  }
});

test('a sequence has the same bytes alone and in a batch', async () => {
  using layer = make();
  const together = await layer.forward(x).data();
  const alone = await layer.forward(x.slice(0, 1, 2)).data();
  expect(alone).toEqual(together.slice(together.length / 2));
});

test('weights drop only in training or for samples, as the seed says', async () => {
  using layer = make({ dropout: 0.5 });
  const plain = layer.forward(x, { returnWeights: true });
  const run = (pass: nn.PassOptions) => layer.forward(x, { ...pass, returnWeights: true });
  expect(await run({ seed: 1 }).weights.data()).toEqual(await plain.weights.data());
  const [first, again, other] = [
    { training: true, seed: 1 },
    { mcDropout: true, seed: 1 },
    { training: true, seed: 2 },
  ].map(run);
  const kept = await plain.weights.data();
  const dropped = await first!.weights.data();
  expect(await again!.weights.data()).toEqual(dropped);
  expect(await again!.output.data()).toEqual(await first!.output.data());
  expect(await other!.weights.data()).not.toEqual(dropped);
  expectClose(
    dropped,
    kept.map((weight, i) => (dropped[i] === 0 ? 0 : 2 * weight)),
    OPS,
  );
  const share = dropped.filter((weight) => weight === 0).length / dropped.length;
  expect(Math.abs(share - 0.5)).toBeLessThan(0.2);
  // Each draw of a pass is its own, and a pass again is the same.
  const pass = () => {
    const seed = new nn.Draws(1);
    return [1, 2].map(() => run({ training: true, seed }).weights);
  };
  const [one, two] = await Promise.all(pass().map((weights) => weights.data()));
  expect(one).toEqual(dropped);
  expect(two).not.toEqual(one);
});

test('dropped weights meet the values', async () => {
  using layer = make({ dropout: 0.3 });
  const ones = Float32Array.from({ length: WIDTH ** 2 }, (_, i) => Number(i % (WIDTH + 1) === 0));
  const nothing = { 'out_proj.weight': tensor(ones, [WIDTH, WIDTH]), 'out_proj.bias': tensor(new Float32Array(WIDTH)) };
  using identity = make({}, { ...given, ...nothing });
  const { output, weights } = layer.forward(x, { training: true, returnWeights: true });
  // Values, read off by attention to one key each.
  const diagonal = mask.slidingWindow(1);
  const values = await identity.forward(x, { mask: diagonal }).data();
  const w = await weights.data();
  const mixed = Float32Array.from(values, (_, at) => {
    const [row, c] = [Math.floor(at / WIDTH), at % WIDTH];
    const [b, i, h] = [Math.floor(row / TOKENS), row % TOKENS, Math.floor(c / HEAD)];
    let sum = 0;
    for (let j = 0; j < TOKENS; ++j) {
      sum += w[((b * HEADS + h) * TOKENS + i) * TOKENS + j]! * values[(b * TOKENS + j) * WIDTH + c]!;
    }
    return sum;
  });
  const [matrix, offset] = await Promise.all([given['out_proj.weight'].data(), given['out_proj.bias'].data()]);
  const expected = Float64Array.from(values, (_, at) => {
    const [row, c] = [Math.floor(at / WIDTH), at % WIDTH];
    let sum = offset[c]!;
    for (let k = 0; k < WIDTH; ++k) sum += matrix[c * WIDTH + k]! * mixed[row * WIDTH + k]!;
    return sum;
  });
  expectClose(await output.data(), expected, { abs: 1e-5, rel: 1e-5 });
});

test('a layer takes no more than its own tensors', async () => {
  const layer = make();
  layer[Symbol.dispose]();
  expect(Object.values(given).map((one) => one.disposed)).toEqual([false, false, false, false]);
  using again = make();
  expect((await again.forward(x).data()).every(Number.isFinite)).toBe(true);
});

const wrong: [message: RegExp, call: () => unknown][] = [
  [/options must be an object/, () => new nn.MultiHeadAttention(nn.parameters(given), '', 3 as never)],
  [/width must be a whole number/, () => new nn.MultiHeadAttention(nn.parameters(given), '', undefined as never)],
  [/unknown option "embedDim"/, () => make({ embedDim: 24 } as never)],
  [/width must be a multiple of numHeads 5/, () => make({ numHeads: 5 })],
  [/numHeads must be/, () => make({ numHeads: 0 })],
  [/projection must be one of/, () => make({ projection: 'stacked' as never })],
  [/projection must be 'separate'/, () => make({ projection: 'fusedByHead', keyWidth: 8 })],
  [/dropout must be in \[0, 1\]/, () => make({ dropout: 1.5 })],
  [/bias must be true or false/, () => make({ bias: 1 as never })],
  [/there is no "q_proj_weight" among 4/, () => make({ keyWidth: 8 })],
  [
    /in_proj_weight must be of shape \[72, 24\] but got \[24, 24\]/,
    () => make({}, { ...given, in_proj_weight: given['out_proj.weight'] }),
  ],
  [/queries must be of shape \[B, T, 24\]/, () => make().forward(x.reshape([-1, WIDTH]))],
  [/keys must be of shape \[B, T, 24\]/, () => make().forward(x, { keys: x.slice(2, 0, 8) })],
  [/queries must be a Tensor/, () => make().forward([1] as never)],
  [/mask must be a mask/, () => make().forward(x, { mask: [[1]] as never })],
  [/bias must be a bias/, () => make().forward(x, { bias: x as never })],
  [/training must be true or false/, () => make({ dropout: 0.1 }).forward(x, { training: 1 as never })],
  [/seed must be a whole number/, () => make({ dropout: 0.1 }).forward(x, { training: true, seed: -1 })],
  [/unknown option "key"/, () => make().forward(x, { key: x } as never)],
  [/x must be of shape \[N, 24\]/, () => make().step(x, { cache: undefined as never, cuSeqlens: x })],
  [/cache must be a KVCache/, () => make().step(x.reshape([-1, WIDTH]), { cache: {} as never, cuSeqlens: x })],
  [/given must be/, () => nn.parameters(x as never)],
  [/weight must be a Tensor/, () => nn.parameters({ weight: 1 as never })],
  [/unknown option "dtype"/, () => nn.parameters({}, { dtype: 'float16' } as never)],
];
test.each(wrong)('%s', (message, call) => {
  expect(call).toThrow(message);
  expect(call).toThrow(/^\[(MultiHeadAttention(\.step)?|parameters)\] /);
});
