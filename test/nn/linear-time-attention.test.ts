import { cast, linformerAttention, nn, orthogonalFeatures, performerAttention, type Tensor } from '#lib/index';
import { FLOATS } from '../support/dtype';
import { multiHeadParameters, normalsOf } from '../support/normals';

const [BATCH, TOKENS, WIDTH, HEADS, KEYS] = [2, 11, 16, 2, 7];
const HEAD = WIDTH / HEADS;
const normals = normalsOf(21);
const given = {
  ...multiHeadParameters(normals, WIDTH),
  'E.weight': normals([4, 20], 0.3),
  'F.weight': normals([4, 20], 0.3),
  projection: orthogonalFeatures({ headDim: HEAD, numFeatures: 12, seed: 4 }),
};
type Given = typeof given;
const options = { width: WIDTH, numHeads: HEADS };
const x = normals([BATCH, TOKENS, WIDTH]);
const memory = normals([BATCH, KEYS, WIDTH]);

/** The same by hand: projections as stated for nn.MultiheadAttention, `mix` between. */
function byHand(parts: Given, queries: Tensor, keys: Tensor, mix: (q: Tensor, k: Tensor, v: Tensor) => Tensor): Tensor {
  const project = (x: Tensor, i: number) => {
    const rows = [i * WIDTH, (i + 1) * WIDTH] as const;
    const part = new nn.Linear(parts.in_proj_weight.slice(0, ...rows), parts.in_proj_bias.slice(0, ...rows));
    return part.forward(x).reshape([BATCH, -1, HEADS, HEAD]).transpose(1, 2);
  };
  const heads = mix(project(queries, 0), project(keys, 1), project(keys, 2));
  const output = new nn.Linear(parts['out_proj.weight'], parts['out_proj.bias']);
  return output.forward(heads.transpose(1, 2).reshape([BATCH, -1, WIDTH]));
}

describe.each(FLOATS)('%s', (dtype) => {
  const parts = Object.fromEntries(
    Object.entries(given).map(([key, one]) => [key, key === 'projection' ? one : cast(one, dtype)]),
  ) as Given;
  const [queries, keys] = [cast(x, dtype), cast(memory, dtype)];
  const source = nn.parameters(parts);

  test.each([
    ['softmax', false],
    ['softmax', true],
    ['relu', false],
    ['relu', true],
  ] as const)('Performer, %s features, causal: %s', async (kernel, causal) => {
    using layer = new nn.PerformerAttention(source, '', { ...options, kernel, causal, seed: 3, numFeatures: 24 });
    const projection = orthogonalFeatures({ headDim: HEAD, numFeatures: 24, seed: 3 });
    const padding = [KEYS, 4];
    const expected = byHand(parts, queries, keys, (q, k, v) =>
      performerAttention(q, k, v, { kernel, causal, projection, padding }),
    );
    const y = layer.forward(queries, { keys, padding });
    expect([y.shape, y.dtype]).toEqual([[BATCH, TOKENS, WIDTH], dtype]);
    expect(await y.bytes()).toEqual(await expected.bytes());
  });

  test('Performer with stored features', async () => {
    using layer = new nn.PerformerAttention(source, '', { ...options, storedFeatures: true, numFeatures: 12 });
    const { projection } = parts;
    const expected = byHand(parts, queries, queries, (q, k, v) => performerAttention(q, k, v, { projection }));
    expect(await layer.forward(queries).bytes()).toEqual(await expected.bytes());
  });

  test.each([false, true])('Linformer, shared: %s', async (shared) => {
    using layer = new nn.LinformerAttention(source, '', { ...options, maxLength: 20, numProjected: 4, shared });
    const expected = byHand(parts, queries, keys, (q, k, v) =>
      linformerAttention(q, k, v, {
        keyProjection: parts['E.weight'],
        valueProjection: parts[shared ? 'E.weight' : 'F.weight'],
      }),
    );
    const y = layer.forward(queries, { keys });
    expect([y.shape, y.dtype]).toEqual([[BATCH, TOKENS, WIDTH], dtype]);
    expect(await y.bytes()).toEqual(await expected.bytes());
  });
});

const source = nn.parameters(given);

test('features are redrawn by seed', async () => {
  using layer = new nn.PerformerAttention(source, '', { ...options, seed: 1 });
  using other = new nn.PerformerAttention(source, '', { ...options, seed: 2 });
  const first = await layer.forward(x).data();
  layer.redraw(2);
  const second = await layer.forward(x).data();
  expect(second).not.toEqual(first);
  expect(second).toEqual(await other.forward(x).data());
  layer.redraw(1);
  expect(await layer.forward(x).data()).toEqual(first);
});

test('the more features, the nearer the Performer comes to attention', async () => {
  using exact = new nn.MultiHeadAttention(source, '', options);
  const expected = await exact.forward(x).data();
  const distance = async (numFeatures: number) => {
    using layer = new nn.PerformerAttention(source, '', { ...options, numFeatures });
    const y = await layer.forward(x).data();
    return Math.hypot(...expected.map((value, i) => value - y[i]!)) / Math.hypot(...expected);
  };
  const [few, many] = [await distance(16), await distance(8192)];
  expect(many).toBeLessThan(few / 2);
  expect(many).toBeLessThan(0.1);
});

const performer = (more: object) => new nn.PerformerAttention(source, '', { ...options, ...more });
const linformer = (more: object) =>
  new nn.LinformerAttention(source, '', { ...options, maxLength: 20, numProjected: 4, ...more });
const wrong: [message: RegExp, call: () => unknown][] = [
  [/\[PerformerAttention\] kernel must be one of/, () => performer({ kernel: 'cosine' })],
  [/\[PerformerAttention\] causal must be/, () => performer({ causal: 1 })],
  [/\[PerformerAttention\] numFeatures must be/, () => performer({ numFeatures: 0 })],
  [/\[PerformerAttention\] numFeatures must be/, () => performer({ storedFeatures: true })],
  [/\[PerformerAttention\] seed must be/, () => performer({ seed: -1 })],
  [
    /\[PerformerAttention\.redraw\] seed must be/,
    () => {
      performer({}).redraw(0.5);
    },
  ],
  [/\[PerformerAttention\] width must be a multiple of numHeads 3/, () => performer({ numHeads: 3 })],
  [/\[PerformerAttention\] unknown option "mask"/, () => performer({}).forward(x, { mask: 1 } as never)],
  [/\[PerformerAttention\] queries must be of shape/, () => performer({}).forward(x.slice(2, 0, 8))],
  [/\[PerformerAttention\] options must be/, () => new nn.PerformerAttention(source, '', null as never)],
  [/\[parameters\] projection must be of shape \[9, 8\]/, () => performer({ storedFeatures: true, numFeatures: 9 })],
  [/\[LinformerAttention\] maxLength must be/, () => linformer({ maxLength: 0 })],
  [/\[LinformerAttention\] numProjected must be/, () => linformer({ numProjected: undefined })],
  [/\[LinformerAttention\] shared must be/, () => linformer({ shared: 'E' })],
  [/\[LinformerAttention\] unknown option "padding"/, () => linformer({}).forward(x, { padding: [1, 1] } as never)],
  [/\[parameters\] E\.weight must be of shape \[4, 21\]/, () => linformer({ maxLength: 21 })],
  [/\[linformerAttention\] keyProjection must be/, () => linformer({}).forward(normals([1, 21, WIDTH]))],
];
test.each(wrong)('%s', (message, call) => {
  expect(call).toThrow(message);
});
