import { native, type MaskHandles } from '../native';
import { checkInteger, checkNumber, checkOptions } from '../check';
import { shapeOf, Tensor, unwrap, wrap } from '../tensor/tensor';
import type { LayerCache } from './kv-cache';
import { checkMask, type Mask } from './mask';

export interface AttentionOptions {
  /** Which keys a query may attend to; default: all. */
  mask?: Mask | undefined;
  /** Scores are multiplied by it. Default 1 / sqrt(Dk). */
  scale?: number | undefined;
}

export interface CachedAttentionOptions extends AttentionOptions {
  /** [B + 1] int32: queries cu[b] … cu[b + 1] - 1 are those of sequence b. */
  cuSeqlens: Tensor;
}

/**
 * Scaled dot-product attention, softmax(scale · q kᵀ) v, float32 (Vaswani et al., 2017, section 3.2.1), with grouped
 * heads (Ainslie et al., 2023). One pass over the keys, no Tq × Tk matrix (Dao et al., 2022).
 *
 * Dense: `attention(q, k, v, options)`
 * @param q [B, H, Tq, Dk], any strides; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]. Query i stands at key position Tk - Tq + i.
 *
 * Over a cache, with ragged queries: `attention(q, cache.layer(i), options)`
 * @param q [N, H, Dk]
 * @param cache keys and values, those of the queries appended, `advance` not yet called.
 * @returns [N, H, Dv]. Query i of a sequence stands behind the keys that it held before this step.
 *
 * A row that may attend to nothing gives 0. Rows do not depend on what else is in the batch.
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions): Tensor;
export function attention(q: Tensor, cache: LayerCache, options: CachedAttentionOptions): Tensor;
export function attention(
  q: Tensor,
  second: Tensor | LayerCache,
  third: Tensor | CachedAttentionOptions,
  options: AttentionOptions = {},
): Tensor {
  if (isLayerCache(second)) return cachedAttention(q, second, third as CachedAttentionOptions);
  checkOptions('attention', options, ['mask', 'scale']);
  const [qHandle, k, v] = [
    unwrap('attention', 'q', q),
    unwrap('attention', 'k', second),
    unwrap('attention', 'v', third),
  ];
  const scale = scaleOf(q, options);
  return withMask(q, options, (causal, handles) => wrap(native.attention(qHandle, k, v, scale, causal, ...handles)));
}

function isLayerCache(value: unknown): value is LayerCache {
  return typeof value === 'object' && value !== null && !(value instanceof Tensor) && 'blockTable' in value;
}

function cachedAttention(q: Tensor, cache: LayerCache, options: CachedAttentionOptions): Tensor {
  checkOptions('attention', options, ['mask', 'scale', 'cuSeqlens']);
  checkInteger('attention', 'cache.valueDim', cache.valueDim, 1, 2 ** 31 - 1);
  const args = [
    unwrap('attention', 'q', q),
    unwrap('attention', 'cuSeqlens', options?.cuSeqlens),
    unwrap('attention', 'cache', cache.pages),
    unwrap('attention', 'cache', cache.blockTable),
    unwrap('attention', 'cache', cache.lengths),
    cache.valueDim,
    scaleOf(q, options),
  ] as const;
  return withMask(q, options, (causal, handles) => wrap(native.cachedAttention(...args, causal, ...handles)));
}

function scaleOf(q: Tensor, { scale }: AttentionOptions): number {
  if (scale === undefined) return 1 / Math.sqrt(shapeOf('attention', 'q', q).at(-1) || 1);
  checkNumber('attention', 'scale', scale);
  return scale;
}

/** Plain causal masks, the common case, are a flag of the kernel. */
function withMask<T>(q: Tensor, { mask }: AttentionOptions, body: (causal: boolean, handles: MaskHandles) => T): T {
  if (mask === undefined) return body(false, [undefined, 0, 0, 0, 0]);
  checkMask('attention', 'mask', mask);
  return mask.kind === 'causal'
    ? body(true, [undefined, 0, 0, 0, 0])
    : mask.lower(q.device, (handles) => body(false, handles));
}
