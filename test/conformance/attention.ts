import { attention, bias, cast, concat, mask, recurrentAttention, tensor, type Mask, type Tensor } from '#lib/index';
import { numbersOf, type Call } from './case';

const STAGES = ['qk', 'softcap', 'masked'] as const;

/** [B, T, H · D] → [B, H, T, D] */
const split = (x: Tensor, heads: number) =>
  x.shape.length === 4 ? x : x.reshape([...x.shape.slice(0, 2), heads, -1]).transpose(1, 2);

/** The mask with all its axes, and as many keys as there are: those that it does not name may not be attended to. */
function wholeMask(given: Tensor, keys: number): Tensor {
  const whole = given.reshape([...Array<number>(4 - given.shape.length).fill(1), ...given.shape]);
  const [b = 0, h = 0, rows = 0, named = 0] = whole.shape;
  if (named === keys || named === 1) return whole;
  const rest = [b, h, rows, keys - named];
  const count = rest.reduce((product, size) => product * size, 1);
  const hidden = given.dtype === 'bool' ? new Uint8Array(count) : new Float32Array(count).fill(-Infinity);
  return concat([whole, tensor(hidden, rest, { dtype: given.dtype })], { axis: 3 });
}

/** ONNX Attention (opsets 23 and 24). Query i stands behind the past keys, or at the end of those that are no padding. */
export function attentionOperator(call: Call): Tensor[] {
  const [q, k, v] = [0, 1, 2].map((i) =>
    split(call.input(i), call.attribute<number>(i === 0 ? 'q_num_heads' : 'kv_num_heads', 0)),
  ) as [Tensor, Tensor, Tensor];
  const [pastKey, pastValue] = [call.optional(4), call.optional(5)];
  const keys = pastKey ? concat([pastKey, k], { axis: 2 }) : k;
  const values = pastValue ? concat([pastValue, v], { axis: 2 }) : v;
  const [queries, count, past] = [q.shape[2]!, keys.shape[2]!, pastKey?.shape[2] ?? 0];
  const lengths = call.given.inputs[6] && numbersOf(call.given.inputs[6]);

  const given = call.optional(3);
  const wide = given && wholeMask(given, count);
  const masks: Mask[] = [];
  if (wide?.dtype === 'bool') masks.push(mask.dense(wide));
  if (call.attribute('is_causal', 0)) masks.push(mask.causal());
  if (lengths) masks.push(mask.padding(lengths));
  const mode = call.attribute<number>('qk_matmul_output_mode', 0);
  const wanted = call.given.outputs[3] != null;
  const { output, weights, scores } = attention(q, keys, values, {
    mask: masks.reduce<Mask | undefined>((all, one) => all?.and(one) ?? one, undefined),
    bias: wide && wide.dtype !== 'bool' ? bias.dense(wide) : undefined,
    scale: call.attribute<number | undefined>('scale', undefined),
    softcap: call.attribute('softcap', 0) || undefined,
    queryOffset: lengths ? lengths.map((length) => length - queries) : past,
    returnWeights: true,
    returnScores: STAGES[mode] ?? 'qk',
  });
  const packed = output.transpose(1, 2).reshape([q.shape[0]!, queries, -1]);
  const shown = wanted ? cast(mode === 3 ? weights : scores, q.dtype) : output;
  return [call.input(0).shape.length === 3 ? packed : output, keys, values, shown];
}

/** ONNX FlexAttention without its modifiers, which are graphs: every query sees every key. */
export function flexAttentionOperator(call: Call): Tensor[] {
  for (const modifier of ['score_mod', 'mask_mod', 'prob_mod']) {
    if (call.attribute<unknown>(modifier, undefined) !== undefined) throw new Error(`${modifier} is a graph`);
  }
  const scale = call.attribute<number | undefined>('scale', undefined);
  return [attention(call.input(0), call.input(1), call.input(2), { scale })];
}

/**
 * ONNX LinearAttention (opset 27): the state is of the query's dtype unless a past one says otherwise. `chunk_size` is a
 * hint that changes no result.
 */
export function linearAttentionOperator(call: Call): Tensor[] {
  const [heads, kvHeads] = [call.attribute<number>('q_num_heads', 0), call.attribute<number>('kv_num_heads', 0)];
  const rule = call.attribute('update_rule', 'gated_delta');
  const [query, key, value] = [call.input(0), call.input(1), call.input(2)];
  const [past, decay, beta, erase] = [3, 4, 5, 6].map((i) => call.optional(i));
  if (rule.startsWith('gated') !== (decay !== undefined) || rule.endsWith('delta') !== (beta !== undefined)) {
    throw new TypeError(`update_rule ${rule} does not go with its inputs`);
  }
  const { output, state } = recurrentAttention(split(query, heads), split(key, kvHeads), split(value, kvHeads), {
    // A value a head: [B, T, H] → [B, H, T]
    decay: decay && (decay.shape[2] === kvHeads ? decay.transpose(1, 2) : split(decay, kvHeads)),
    beta: beta?.transpose(1, 2),
    erase: erase && split(erase, kvHeads),
    scale: call.attribute('scale', 0) || undefined,
    state: past && cast(past, 'float32'),
    returnState: true,
  });
  const packed = output.transpose(1, 2).reshape([...query.shape.slice(0, 2), -1]);
  return [packed, cast(state, past?.dtype ?? query.dtype)];
}
