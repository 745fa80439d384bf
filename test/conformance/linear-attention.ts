import { cast, recurrentAttention, type Tensor } from '#lib/index';

/** What a runner has read of a case: attributes by name, inputs in the operator's order. */
export interface ConformanceCase {
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly inputs: readonly (Tensor | undefined)[];
}

/**
 * ONNX LinearAttention (opset 27): heads packed into the last axis, the state of the query's dtype unless a past one
 * says otherwise. `chunk_size` is a hint that changes no result.
 */
export function linearAttentionCase({ attributes, inputs }: ConformanceCase): Tensor[] {
  const { q_num_heads: heads = 0, kv_num_heads: kvHeads = 0, scale = 0 } = attributes as Record<string, number>;
  const rule = (attributes.update_rule as string | undefined) ?? 'gated_delta';
  const [query, key, value, past, decay, beta, erase] = inputs;
  const gated = rule.startsWith('gated'),
    corrected = rule.endsWith('delta');
  if (gated !== (decay !== undefined) || corrected !== (beta !== undefined)) {
    throw new TypeError(`update_rule ${rule} does not go with its inputs`);
  }
  /** [B, T, H · D] → [B, H, T, D] */
  const split = (x: Tensor, count: number) => x.reshape([...x.shape.slice(0, 2), count, -1]).transpose(1, 2);
  const { output, state } = recurrentAttention(split(query!, heads), split(key!, kvHeads), split(value!, kvHeads), {
    // A value a head: [B, T, H] → [B, H, T]
    decay: decay && (decay.shape[2] === kvHeads ? decay.transpose(1, 2) : split(decay, kvHeads)),
    beta: beta?.transpose(1, 2),
    erase: erase && split(erase, kvHeads),
    scale: scale === 0 ? undefined : scale,
    state: past && cast(past, 'float32'),
    returnState: true,
  });
  const packed = output.transpose(1, 2).reshape([...query!.shape.slice(0, 2), -1]);
  return [packed, cast(state, past?.dtype ?? query!.dtype)];
}
