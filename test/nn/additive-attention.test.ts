import { cast, mask, nn, scope, tensor, type Tensor } from '#lib/index';
import { expectClose, OPS } from '../support/compare';
import { FLOATS, rounded } from '../support/dtype';
import { Fixture, fixtureNames, type Stored, type Values } from '../support/fixtures';
import { Random } from '../support/random';

interface Case {
  name: string;
  op: string;
  params: { D?: number };
  inputs: Record<string, Stored>;
  outputs: Record<string, Stored>;
}

const float32 = ({ data, shape }: Values, wanted = shape) => tensor(Float32Array.from(data), wanted);
const last = ({ shape }: Values) => shape.at(-1)!;

type Layer = nn.BahdanauAttention | nn.LuongAttention;
type Make = (values: Record<string, Values>, params: Case['params']) => Layer;

/** Vectors v are weights [1, A]. */
const weightsOf = (values: Record<string, Values>, names: Record<string, string>) =>
  nn.parameters(
    Object.fromEntries(
      Object.entries(names)
        .filter(([, key]) => values[key])
        .map(([path, key]) => [path, float32(values[key]!, /^v/.test(key) ? [1, last(values[key]!)] : undefined)]),
    ),
  );
const luong =
  (score: nn.LuongAttentionOptions['score']): Make =>
  (values, { D: windowSize }) =>
    new nn.LuongAttention(
      weightsOf(values, { 'W.weight': 'W', 'v.weight': 'v', 'W_p.weight': 'W_p', 'v_p.weight': 'v_p' }),
      '',
      {
        score,
        queryWidth: last(values.query!),
        keyWidth: last(values.keys!),
        width: (values.v ?? values.v_p)?.shape[0],
        windowSize,
      },
    );
const makers: Record<string, Make> = {
  bahdanau: (values) =>
    new nn.BahdanauAttention(
      weightsOf(values, { 'query.weight': 'W_query', 'keys.weight': 'W_keys', bias: 'bias', 'v.weight': 'v' }),
      '',
      {
        queryWidth: last(values.query!),
        keyWidth: last(values.keys!),
        width: last(values.v!),
        bias: values.bias !== undefined,
      },
    ),
  luong_dot: luong('dot'),
  luong_general: luong('general'),
  luong_concat: luong('concat'),
  luong_local_p: luong('local-p'),
};

if (fixtureNames('ops').includes('additive_attention')) {
  const fixture = new Fixture<{ cases: Case[] }>('ops/additive_attention');
  for (const { name, op, params, inputs, outputs } of fixture.cases.cases) {
    const make = makers[op];
    (make ? test : test.skip)(`additive_attention: ${name}`, async () => {
      const values = Object.fromEntries(Object.entries(inputs).map(([key, stored]) => [key, fixture.value(stored)]));
      using layer = make!(values, params);
      const { query, keys, mask: allowed } = values as Record<string, Values>;
      const [batch, tokens] = keys!.shape as [number, number];
      const result = layer.forward(float32(query!, [batch, 1, last(query!)]), float32(keys!), {
        mask: allowed && mask.dense(tensor(Uint8Array.from(allowed.data), [batch, 1, 1, tokens])),
      }) as nn.LuongContext;
      const results: Record<string, Tensor | undefined> = {
        context: result.output,
        weights: result.weights,
        p: result.positions,
      };
      for (const [key, stored] of Object.entries(outputs)) {
        const expected = fixture.value(stored);
        const actual = results[key]!;
        expect(actual.reshape(expected.shape).shape).toEqual(expected.shape);
        expectClose(await actual.data(), expected.data, OPS, `${key}: element`);
      }
    });
  }
} else {
  test.skip('no fixtures: ops/additive_attention', () => undefined);
}

// Formulas of the papers in float64, for many queries at once, values of their own and windows that leave keys out.

const [BATCH, QUERIES, KEYS, CQ, CK, WIDTH, VALUE] = [2, 3, 9, 6, 5, 7, 4];
const WINDOW = 2.5;
const random = new Random(11);
const matrices = {
  'query.weight': [WIDTH, CQ],
  'keys.weight': [WIDTH, CK],
  bias: [WIDTH],
  'v.weight': [1, WIDTH],
  'W.weight': [CQ, CK],
  'W_p.weight': [WIDTH, CQ],
  'v_p.weight': [1, WIDTH],
};
const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const stored = Object.fromEntries(
  Object.entries(matrices).map(([key, shape]) => [key, random.normals(size(shape), 0.6)]),
) as Record<keyof typeof matrices, Float32Array>;
const stacked = random.normals(WIDTH * (CQ + CK), 0.4); // W of 'concat'
const operands = {
  q: random.normals(BATCH * QUERIES * CQ),
  k: random.normals(BATCH * KEYS * CK),
  v: random.normals(BATCH * KEYS * VALUE),
};
const kept = [KEYS, 5]; // keys of each sequence that may be attended to

type Score = 'bahdanau' | nn.LuongAttentionOptions['score'];
type Numbers = ArrayLike<number>;

/** weight [N, K] · x[at … at + K] */
const product = (weight: Numbers, rows: number, x: Numbers, at: number, columns: number, stride = columns, first = 0) =>
  Array.from({ length: rows }, (_, row) => {
    let sum = 0;
    for (let c = 0; c < columns; ++c) sum += weight[row * stride + first + c]! * x[at + c]!;
    return sum;
  });
const dot = (a: Numbers, b: Numbers) => Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Context and weights of all queries. */
function formula(score: Score, parts: typeof stored, wide: Float32Array, { q, k, v }: typeof operands) {
  const weights: number[] = [];
  const context: number[] = [];
  const keyWidth = score === 'dot' ? CQ : CK;
  for (let row = 0; row < BATCH * QUERIES; ++row) {
    const b = Math.floor(row / QUERIES);
    const query = q.subarray(row * CQ, (row + 1) * CQ);
    const scoreOf = (s: number): number => {
      const at = (b * KEYS + s) * keyWidth;
      const general = () => dot(query, product(parts['W.weight'], CQ, k, at, CK));
      const additive = (left: number[], right: number[], offset?: Numbers) =>
        dot(
          parts['v.weight'],
          left.map((x, i) => Math.tanh(x + right[i]! + (offset?.[i] ?? 0))),
        );
      switch (score) {
        case 'bahdanau':
          return additive(
            product(parts['query.weight'], WIDTH, q, row * CQ, CQ),
            product(parts['keys.weight'], WIDTH, k, at, CK),
            parts.bias,
          );
        case 'dot':
          return dot(query, k.subarray(at, at + CQ));
        case 'concat':
          return additive(product(wide, WIDTH, q, row * CQ, CQ, CQ + CK), product(wide, WIDTH, k, at, CK, CQ + CK, CQ));
        default:
          return general();
      }
    };
    const inner = product(parts['W_p.weight'], WIDTH, q, row * CQ, CQ).map(Math.tanh);
    const p = KEYS / (1 + Math.exp(-dot(parts['v_p.weight'], inner)));
    const local = score === 'local-p';
    const exps = Array.from({ length: KEYS }, (_, s) =>
      s < kept[b]! && (!local || Math.abs(s - p) <= WINDOW) ? Math.exp(scoreOf(s)) : 0,
    );
    const sum = exps.reduce((a, e) => a + e, 0);
    const gauss = (s: number) => (local ? Math.exp((-2 * (s - p) ** 2) / WINDOW ** 2) : 1);
    const own = exps.map((e, s) => (sum === 0 ? 0 : (e / sum) * gauss(s)));
    weights.push(...own);
    for (let c = 0; c < VALUE; ++c) context.push(own.reduce((a, w, s) => a + w * v[(b * KEYS + s) * VALUE + c]!, 0));
  }
  return { weights, context };
}

const scores = ['bahdanau', 'dot', 'general', 'concat', 'local-p'] as const;
const HALF = { float32: 5e-6, float16: 2e-2, bfloat16: 1.2e-1 };

describe.each(FLOATS)('%s', (dtype) => {
  const exact = (values: Float32Array) => rounded(values, dtype);
  const put = (values: Float32Array, shape: readonly number[]) => tensor(exact(values), shape, { dtype });
  test.each(scores)('%s is its formula', async (score) => {
    const keyWidth = score === 'dot' ? CQ : CK;
    const parts = Object.fromEntries(
      Object.entries(stored).map(([key, values]) => [key, exact(values)]),
    ) as typeof stored;
    const keys = score === 'dot' ? new Random(12).normals(BATCH * KEYS * CQ) : operands.k;
    const given = { q: exact(operands.q), k: exact(keys), v: exact(operands.v) };
    const source = nn.parameters({
      ...Object.fromEntries(Object.entries(matrices).map(([key, shape]) => [key, put(stored[key as 'bias'], shape)])),
      ...(score === 'concat' && { 'W.weight': put(stacked, [WIDTH, CQ + CK]) }),
    });
    const sizes = { queryWidth: CQ, keyWidth, width: WIDTH };
    using layer =
      score === 'bahdanau'
        ? new nn.BahdanauAttention(source, '', sizes)
        : new nn.LuongAttention(source, '', { ...sizes, score, windowSize: score === 'local-p' ? WINDOW : undefined });
    const { output, weights } = layer.forward(
      put(operands.q, [BATCH, QUERIES, CQ]),
      put(keys, [BATCH, KEYS, keyWidth]),
      {
        values: put(operands.v, [BATCH, KEYS, VALUE]),
        mask: mask.padding(kept),
      },
    );
    expect([output.shape, output.dtype]).toEqual([[BATCH, QUERIES, VALUE], dtype]);
    expect([weights.shape, weights.dtype]).toEqual([[BATCH, QUERIES, KEYS], 'float32']);
    const expected = formula(score, parts, exact(stacked), given);
    const tolerance = { abs: HALF[dtype], rel: HALF[dtype] };
    expectClose(await weights.data(), expected.weights, tolerance, 'weight');
    expectClose(await output.data(), expected.context, tolerance, 'context');
  });
});

const queries = tensor(operands.q, [BATCH, QUERIES, CQ]);
const keys = tensor(operands.k, [BATCH, KEYS, CK]);
const source = nn.initialParameters();
const bahdanau = (more = {}) =>
  new nn.BahdanauAttention(source, '', { queryWidth: CQ, keyWidth: CK, width: WIDTH, ...more });
const general = (more = {}) =>
  new nn.LuongAttention(source, '', { score: 'general', queryWidth: CQ, keyWidth: CK, ...more });

test.each(['bahdanau', 'general', 'concat', 'local-p'] as const)('%s: no key, no context', async (score) => {
  using layer = score === 'bahdanau' ? bahdanau() : general({ score, windowSize: score === 'local-p' ? 1 : undefined });
  const { output, weights } = layer.forward(queries, keys, { mask: mask.padding([KEYS, 0]) });
  const empty = async (x: Tensor) => {
    const all = await x.data();
    return all.slice(all.length / 2).every((value) => value === 0);
  };
  expect([await empty(output), await empty(weights)]).toEqual([true, true]);
  // A sequence has the same bytes alone and in a batch.
  const alone = layer.forward(queries.slice(0, 0, 1), keys.slice(0, 0, 1));
  const both = await output.data();
  expect(await alone.output.data()).toEqual(both.slice(0, both.length / 2));
});

test('masked keys do not matter, not even NaN', async () => {
  using layer = bahdanau();
  const spoilt = operands.k.slice();
  spoilt.fill(NaN, 5 * CK, KEYS * CK);
  const run = (k: Float32Array) =>
    scope(() => layer.forward(queries, tensor(k, [BATCH, KEYS, CK]), { mask: mask.padding(5) }).output).data();
  expect(await run(spoilt)).toEqual(await run(operands.k));
});

const wrong: [message: RegExp, call: () => unknown][] = [
  [/\[BahdanauAttention\] queryWidth must be/, () => bahdanau({ queryWidth: 0 })],
  [/\[BahdanauAttention\] bias must be/, () => bahdanau({ bias: 'no' })],
  [/\[BahdanauAttention\] unknown option "score"/, () => bahdanau({ score: 'dot' })],
  [/\[BahdanauAttention\] options must be/, () => new nn.BahdanauAttention(source, '', [] as never)],
  [/\[BahdanauAttention\] queries must be of shape \[B, T, 6\]/, () => bahdanau().forward(keys, keys)],
  [/\[BahdanauAttention\] keys must be of shape \[B, T, 5\]/, () => bahdanau().forward(queries, queries)],
  [/\[BahdanauAttention\] queries must be of 2 sequences/, () => bahdanau().forward(queries.slice(0, 0, 1), keys)],
  [
    /\[BahdanauAttention\] values must be of shape \[2, 9, Cv\]/,
    () => bahdanau().forward(queries, keys, { values: queries }),
  ],
  [/\[BahdanauAttention\] mask must be a mask/, () => bahdanau().forward(queries, keys, { mask: 5 as never })],
  [/\[BahdanauAttention\] unknown option "bias"/, () => bahdanau().forward(queries, keys, { bias: 1 } as never)],
  [/\[LuongAttention\] score must be one of/, () => general({ score: 'local-m' })],
  [/\[LuongAttention\] keyWidth must be queryWidth 6/, () => general({ score: 'dot' })],
  [/\[LuongAttention\] windowSize must be a number/, () => general({ score: 'local-p' })],
  [/\[LuongAttention\] windowSize must be at least 1/, () => general({ score: 'local-p', windowSize: 0.5 })],
  [/\[LuongAttention\] windowSize must be absent/, () => general({ windowSize: 2 })],
  [/\[LuongAttention\] width must be/, () => general({ width: -1 })],
  [
    /\[parameters\] W\.weight must be of shape \[6, 5\]/,
    () =>
      new nn.LuongAttention(nn.parameters({ 'W.weight': queries }), '', {
        score: 'general',
        queryWidth: CQ,
        keyWidth: CK,
      }),
  ],
];
test.each(wrong)('%s', (message, call) => {
  expect(call).toThrow(message);
});

test('half weights want half operands', () => {
  using layer = bahdanau();
  expect(() => layer.forward(cast(queries, 'float16'), keys)).toThrow(TypeError);
});
