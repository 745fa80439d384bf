import {
  attention,
  bias,
  favorFeatures,
  gated,
  gelu,
  layerNorm,
  logSoftmax,
  mask,
  performerAttention,
  relu,
  rmsNorm,
  silu,
  softmax,
  tensor,
  type Activation,
  type Bias,
  type Mask,
  type Tensor,
} from '#lib/index';
import { expectClose, OPS } from '../support/compare';
import { Fixture, fixtureNames, type Stored, type Values } from '../support/fixtures';

interface Case {
  name: string;
  op: string;
  params: Record<string, unknown>;
  inputs: Record<string, Stored>;
  outputs: Record<string, Stored>;
}
type Inputs = Record<string, Values>;
/** Outputs by name; undefined for a case that no op here expresses. */
type Express = (params: Record<string, unknown>, inputs: Inputs) => (() => Record<string, Tensor>) | undefined;

const float32 = (values: Values) => tensor(Float32Array.from(values.data), values.shape);
const optional = (values: Values | undefined) => values && float32(values);

const ACTIVATIONS: Record<string, (x: Tensor) => Tensor> = {
  gelu: (x) => gelu(x),
  gelu_new: (x) => gelu(x, { approximate: 'tanh' }),
  gelu_pytorch_tanh: (x) => gelu(x, { approximate: 'tanh' }),
  silu,
  swish: silu,
  relu,
};
const GATES: Record<string, Activation> = { silu: 'silu', gelu: 'gelu', gelu_new: 'gelu_new', relu: 'relu' };

/** What a case's parameters say of its mask and bias; nothing of those that only its tensors tell. */
function piecesOf(params: Record<string, unknown>): { mask?: Mask; bias?: Bias } {
  const masks: Mask[] = [];
  if (params.causal) masks.push(mask.causal());
  if (params.key_lengths) masks.push(mask.padding(params.key_lengths as number[]));
  if (params.window) masks.push(mask.slidingWindow(params.window as number));
  if (params.window_each_side) {
    const side = params.window_each_side as number;
    const window = mask.slidingWindow(side, side);
    masks.push(params.global ? window.or(mask.globalTokens(params.global as number[])) : window);
  }
  const whole = masks.reduce<Mask | undefined>((all, one) => all?.and(one) ?? one, undefined);
  return {
    ...(whole && { mask: whole }),
    ...(params.alibi_slopes ? { bias: bias.alibi(params.alibi_slopes as number[]) } : {}),
  };
}

/** FAVOR+ on the projection of the case. */
const favor =
  (kernel: 'softmax' | 'relu'): Express =>
  ({ eps }, inputs) =>
  () => {
    const [q, k, v, projection] = ['q', 'k', 'v', 'projection'].map((key) => float32(inputs[key]!));
    const featuresOf = (x: Tensor, role: 'query' | 'key') =>
      favorFeatures(x, projection!, { kernel, role, eps: eps as number });
    return {
      q_features: featuresOf(q!, 'query'),
      k_features: featuresOf(k!, 'key'),
      out: performerAttention(q!, k!, v!, { kernel, projection }),
      out_causal: performerAttention(q!, k!, v!, { kernel, projection, causal: true }),
    };
  };

const ops: Record<string, Express> = {
  favor_softmax: favor('softmax'),
  favor_relu: favor('relu'),
  layer_norm:
    ({ eps }, { x, weight, bias }) =>
    () => ({
      y: layerNorm(float32(x!), { eps: eps as number, weight: optional(weight), bias: optional(bias) }),
    }),
  add_layer_norm:
    ({ eps }, { x, residual, weight, bias }) =>
    () => {
      const options = { eps: eps as number, weight: optional(weight), bias: optional(bias) };
      const { output, sum } = layerNorm(float32(x!), { ...options, residual: float32(residual!) });
      return { y: output, sum };
    },
  rms_norm: (params, { x, weight }) => {
    const { eps, add_one_to_weight: one = false } = params as { eps: number; add_one_to_weight?: boolean };
    return () => ({ y: rmsNorm(float32(x!), { eps, offset: Number(one), weight: optional(weight) }) });
  },
  add_rms_norm:
    ({ eps }, { x, residual, weight }) =>
    () => {
      const options = { eps: eps as number, weight: optional(weight), residual: float32(residual!) };
      const { output, sum } = rmsNorm(float32(x!), options);
      return { y: output, sum };
    },
  softmax:
    (_, { x }) =>
    () => ({ softmax: softmax(float32(x!)), log_softmax: logSoftmax(float32(x!)) }),
  activation: ({ name }, { x }) => {
    const activation = ACTIVATIONS[name as string];
    return activation && (() => ({ y: activation(float32(x!)) }));
  },
  gated_activation: ({ name }, { gate, up }) => {
    const activation = GATES[name as string];
    return activation && (() => ({ y: gated(float32(gate!), float32(up!), { activation }) }));
  },
  attention: (params, inputs) => () => {
    const { q, k, v, mask: allowed, bias: added } = inputs as Record<string, Values>;
    // Missing axes are of size 1: [B, H, T, D].
    const shape = (values: Values) => [...Array<number>(4 - values.shape.length).fill(1), ...values.shape];
    const whole = (values: Values) => float32({ ...values, shape: shape(values) });
    const dense = allowed && mask.dense(tensor(Uint8Array.from(allowed.data), shape(allowed)));
    const given = { mask: dense, bias: added && bias.dense(float32(added)) };
    const attend = (terms: typeof given) =>
      attention(whole(q!), whole(k!), whole(v!), {
        ...terms,
        scale: params.scale as number,
        softcap: params.softcap as number | undefined,
        returnWeights: true,
        returnLse: true,
      });
    const { output, weights, lse } = attend(given);
    const results: Record<string, Tensor> = { out: output, weights, lse };
    // The same with pieces, where the parameters tell some: they keep no less than the mask.
    const pieces = piecesOf(params);
    const both = pieces.mask && dense ? pieces.mask.and(dense) : (pieces.mask ?? dense);
    if (pieces.mask ?? pieces.bias) {
      results['out of pieces'] = attend({ mask: both, bias: pieces.bias ?? given.bias }).output;
    }
    const rank = q!.shape.length;
    for (const [key, result] of Object.entries(results)) {
      results[key] = result.reshape(result.shape.slice(4 - rank));
    }
    return results;
  },
};

/** See test/fixtures/README.md. */
const ILL_CONDITIONED = { abs: 1e-3, rel: 1e-3 };
const toleranceOf = (name: string) => (/large_scores|offset/.test(name) ? ILL_CONDITIONED : OPS);

const groups = ['norms', 'softmax', 'activations', 'attention', 'performer'];

describe.each(groups)('%s', (group) => {
  if (!fixtureNames('ops').includes(group)) {
    test.skip('the fixtures are not there', () => undefined);
    return;
  }
  const fixture = new Fixture<{ cases: Case[] }>(`ops/${group}`);
  for (const { name, op, params, inputs, outputs } of fixture.cases.cases) {
    const values = Object.fromEntries(Object.entries(inputs).map(([key, stored]) => [key, fixture.value(stored)]));
    const compute = ops[op]?.(params, values);
    (compute ? test : test.skip)(`${group}: ${name}`, async () => {
      const results = Object.entries(compute!());
      for (const [key, result] of results) {
        const expected = fixture.value(outputs[key] ?? outputs[key.split(' ')[0]!]!);
        expect(result.shape).toEqual(expected.shape);
        expectClose(await result.data(), expected.data, toleranceOf(name), `${key}: element`);
      }
      expect(results.length).toBeGreaterThan(0);
    });
  }
});
