import {
  activation,
  attention,
  crossEntropy,
  gated,
  layerNorm,
  logSoftmax,
  logSumExp,
  mask,
  rmsNorm,
  rotate,
  softmax,
  tensor,
  type Activation,
  type Tensor,
} from '#lib/index';
import { rotaryFrequencies, rotaryTables, type RotaryOptions } from '#lib/nn/rotary';
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
const int32 = (values: Values) => tensor(Int32Array.from(values.data), values.shape);
const optional = (values: Values | undefined) => values && float32(values);
const onlyHas = (object: object, known: readonly string[]) => Object.keys(object).every((key) => known.includes(key));

/** Whether a mask [..., Tq, Tk] keeps what `causal` keeps (or, without it, everything). */
function isPlain({ data, shape }: Values, causal: boolean): boolean {
  const [queries, keys] = shape.slice(-2) as [number, number];
  const sees = (at: number) => at % keys <= keys - queries + (Math.floor(at / keys) % queries);
  return data.every((keep, at) => (keep !== 0) === (!causal || sees(at)));
}

const ops: Record<string, Express> = {
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
  rope: (params, { x }) => {
    const { base, rotary_dim: rotaryWidth, length } = params as Record<string, number>;
    const options: RotaryOptions = { base: base!, rotaryWidth: rotaryWidth!, scaling: { kind: 'default' } };
    return () => {
      const { cos, sin } = rotaryTables(options, length!);
      const turned = (interleaved: boolean) => rotate(float32(x!), cos, sin, { interleaved });
      const inverse = tensor(rotaryFrequencies(options));
      return { inv_freq: inverse, cos, sin, half_split: turned(false), interleaved: turned(true) };
    };
  },
  softmax:
    (_, { x }) =>
    () => ({
      softmax: softmax(float32(x!)),
      log_softmax: logSoftmax(float32(x!)),
      logsumexp: logSumExp(float32(x!), { axis: -1 }),
    }),
  cross_entropy: (params, { logits, labels }) => {
    const { label_smoothing: labelSmoothing, ignore_index: ignoreIndex } = params as Record<string, number>;
    const loss = (reduction: 'mean' | 'none') =>
      crossEntropy(float32(logits!), int32(labels!), { labelSmoothing, ignoreIndex, reduction });
    return () => ({ mean: loss('mean'), none: loss('none') });
  },
  causal_lm_loss:
    ({ ignore_index: ignoreIndex }, { logits, labels }) =>
    () => {
      const length = labels!.shape[1]!;
      const predicted = float32(logits!).slice(1, 0, length - 1);
      const next = int32(labels!).slice(1, 1, length);
      return { loss: crossEntropy(predicted, next, { ignoreIndex: ignoreIndex as number }) };
    },
  activation:
    ({ name }, { x }) =>
    () => ({ y: activation(float32(x!), name as Activation) }),
  gated_activation:
    ({ name }, { gate, up }) =>
    () => ({ y: gated(float32(gate!), float32(up!), { activation: name as Activation }) }),
  attention: (params, inputs) => {
    const { q, k, v, mask: allowed } = inputs;
    const { causal = false, scale } = params as { causal?: boolean; scale: number };
    if (!onlyHas(params, ['scale', 'causal', 'kv_heads']) || !onlyHas(inputs, ['q', 'k', 'v', 'mask'])) return;
    if (allowed && !isPlain(allowed, causal)) return;
    const options = { scale, mask: causal ? mask.causal() : undefined };
    const heads = (x: Values) => float32({ ...x, shape: [...[1, 1].slice(x.shape.length - 2), ...x.shape] }); // [B, H, T, D]
    return () => ({
      out: attention(heads(q!), heads(k!), heads(v!), options).reshape(q!.shape.with(-1, v!.shape.at(-1)!)),
    });
  },
};

/** See test/fixtures/README.md. */
const ILL_CONDITIONED = { abs: 1e-3, rel: 1e-3 };
const toleranceOf = (name: string) => (/large_scores|offset/.test(name) ? ILL_CONDITIONED : OPS);

const groups = ['norms', 'softmax', 'activations', 'positions', 'attention'];

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
        const expected = fixture.value(outputs[key]!);
        expect(result.shape).toEqual(expected.shape);
        expectClose(await result.data(), expected.data, toleranceOf(name), `${key}: element`);
      }
      expect(results.length).toBeGreaterThan(0);
    });
  }
});
