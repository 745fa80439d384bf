import {
  add,
  gelu,
  layerNorm,
  logSoftmax,
  mul,
  rmsNorm,
  rotate,
  silu,
  softmax,
  tensorScatter,
  topK,
  type Tensor,
} from '#lib/index';
import { attentionOperator, flexAttentionOperator, linearAttentionOperator } from './attention';
import type { Call } from './case';

/** Outputs in the operator's order. */
export type Operator = (call: Call) => Tensor[];

const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const sameShape = (a: readonly number[], b: readonly number[]) => a.join() === b.join();

/** Up to opset 12 all axes from `axis`, by default 1, on are one. */
function softmaxBy(op: typeof softmax): Operator {
  return (call) => {
    const x = call.input(0);
    if (call.opset >= 13) return [op(x, { axis: call.attribute('axis', -1) })];
    const axis = call.attribute('axis', 1);
    const at = axis < 0 ? axis + x.shape.length : axis;
    const flat = x.reshape([size(x.shape.slice(0, at)), size(x.shape.slice(at))]);
    return [op(flat).reshape(x.shape)];
  };
}

/** Scale and bias of a norm, if they have the shape that is normalized; the standard allows what broadcasts to it. */
function affine(call: Call, shape: readonly number[]) {
  const [weight, bias] = [call.optional(1), call.optional(2)];
  const fits = [weight, bias].every((vector) => !vector || sameShape(vector.shape, shape));
  return {
    within: fits ? { weight, bias } : {},
    after: (y: Tensor) => {
      if (fits) return y;
      const scaled = weight ? mul(y, weight) : y;
      return bias ? add(scaled, bias) : scaled;
    },
  };
}

export const operators: Record<string, Operator> = {
  Attention: attentionOperator,
  FlexAttention: flexAttentionOperator,
  LinearAttention: linearAttentionOperator,
  Softmax: softmaxBy(softmax),
  LogSoftmax: softmaxBy(logSoftmax),
  Gelu: (call) => [gelu(call.input(0), { approximate: call.attribute<'none' | 'tanh'>('approximate', 'none') })],
  Swish: (call) => [silu(call.input(0), { alpha: call.attribute('alpha', 1) })],

  LayerNormalization: (call) => {
    const x = call.input(0);
    const axis = call.attribute('axis', -1);
    const { within, after } = affine(call, x.shape.slice(axis));
    const options = { axis, eps: call.attribute('epsilon', 1e-5), returnStats: true } as const;
    const { output, mean, inverseDeviation } = layerNorm(x, { ...within, ...options });
    return [after(output), mean, inverseDeviation];
  },

  RMSNormalization: (call) => {
    const x = call.input(0);
    const axis = call.attribute('axis', -1);
    const { within, after } = affine(call, x.shape.slice(axis));
    return [after(rmsNorm(x, { weight: within.weight, axis, eps: call.attribute('epsilon', 1e-5) }))];
  },

  // x is [B, H, T, D], or [B, T, H · D] with the number of heads.
  RotaryEmbedding: (call) => {
    const x = call.input(0);
    const options = { interleaved: call.attribute<number>('interleaved', 0) !== 0, positions: call.optional(3) };
    const turn = (heads: Tensor) => rotate(heads, call.input(1), call.input(2), options);
    if (x.shape.length === 4) return [turn(x)];
    const [batch, tokens, width] = x.shape as [number, number, number];
    const numHeads = call.attribute('num_heads', 0);
    const heads = x.reshape([batch, tokens, numHeads, width / numHeads]).transpose(1, 2);
    return [turn(heads).transpose(1, 2).reshape(x.shape)];
  },

  TensorScatter: (call) => {
    const options = { axis: call.attribute('axis', -2), mode: call.attribute<'linear' | 'circular'>('mode', 'linear') };
    return [tensorScatter(call.input(0), call.input(1), call.optional(2), options)];
  },

  // Opset 1 has k as an attribute; before 11 the largest are meant, in order.
  TopK: (call) => {
    const k = call.opset < 10 ? call.attribute('k', 0) : call.number(1);
    const { values, indices } = topK(call.input(0), k, {
      axis: call.attribute('axis', -1),
      largest: call.attribute<number>('largest', 1) !== 0,
      sorted: call.attribute<number>('sorted', 1) !== 0,
    });
    return [values, indices];
  },
};

/** The axis along which the standard leaves the order open, if there is one. */
export function openOrder({ op, attributes, outputs }: Call['given']): number | undefined {
  if (op !== 'TopK' || attributes.sorted !== 0) return undefined;
  const axis = (attributes.axis as number | undefined) ?? -1;
  return axis < 0 ? axis + outputs[0]!.shape.length : axis;
}
