import { native, type MaskHandles } from '../native';
import { checkBoolean, checkInteger, checkNumber, checkOptions } from '../check';
import { shapeOf, Tensor, unwrap, wrap } from '../tensor/tensor';
import type { LayerCache } from './kv-cache';
import { checkMask, type Mask } from './mask';

export interface AttentionOptions {
  /** Which keys a query may attend to; default: all. */
  mask?: Mask | undefined;
  /** Scores are multiplied by it. Default 1 / sqrt(Dk). */
  scale?: number | undefined;
  /** Also give lse, the logarithm of each row's sum of e^score. Default false. */
  returnLse?: boolean | undefined;
}

export interface AttentionResult {
  output: Tensor;
  /** float32: [B, H, Tq], over a cache [N, H]. ln Σ e^score over the keys that a row may attend to; -∞ for none. */
  lse: Tensor;
}

export interface CachedAttentionOptions extends AttentionOptions {
  /** [B + 1] int32: queries cu[b] … cu[b + 1] - 1 are those of sequence b. */
  cuSeqlens: Tensor;
}

/**
 * Scaled dot-product attention, softmax(scale · q kᵀ) v (Vaswani et al., 2017, section 3.2.1), with grouped heads
 * (Ainslie et al., 2023). One pass over the keys, no Tq × Tk matrix (Dao et al., 2022). All of one float dtype; scores and
 * sums are float32.
 *
 * Dense: `attention(q, k, v, options)`
 * @param q [B, H, Tq, Dk], any strides; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]; with `returnLse` both that and `lse` [B, H, Tq]. Query i stands at key position Tk - Tq + i.
 *
 * Over a cache, with ragged queries: `attention(q, cache.layer(i), options)`
 * @param q [N, H, Dk]
 * @param cache keys and values, those of the queries appended, `advance` not yet called.
 * @returns [N, H, Dv]; with `returnLse` both that and `lse` [N, H]. Query i of a sequence stands behind the keys that it
 *   held before this step.
 *
 * A row that may attend to nothing gives 0. Rows do not depend on what else is in the batch.
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions & { returnLse: true },
): AttentionResult;
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options?: AttentionOptions & { returnLse?: false | undefined },
): Tensor;
export function attention(
  q: Tensor,
  cache: LayerCache,
  options: CachedAttentionOptions & { returnLse: true },
): AttentionResult;
export function attention(
  q: Tensor,
  cache: LayerCache,
  options: CachedAttentionOptions & { returnLse?: false | undefined },
): Tensor;
export function attention(
  q: Tensor,
  second: Tensor | LayerCache,
  third: Tensor | CachedAttentionOptions,
  options: AttentionOptions = {},
): Tensor | AttentionResult {
  if (isLayerCache(second)) return cachedAttention(q, second, third as CachedAttentionOptions);
  checkOptions('attention', options, ['mask', 'scale', 'returnLse']);
  const [qHandle, k, v] = [
    unwrap('attention', 'q', q),
    unwrap('attention', 'k', second),
    unwrap('attention', 'v', third),
  ];
  const scale = scaleOf(q, options);
  return run(q, options, (...rest) => native.attention(qHandle, k, v, scale, ...rest));
}

function isLayerCache(value: unknown): value is LayerCache {
  return typeof value === 'object' && value !== null && !(value instanceof Tensor) && 'blockTable' in value;
}

function cachedAttention(q: Tensor, cache: LayerCache, options: CachedAttentionOptions): Tensor | AttentionResult {
  checkOptions('attention', options, ['mask', 'scale', 'cuSeqlens', 'returnLse']);
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
  return run(q, options, (...rest) => native.cachedAttention(...args, ...rest));
}

function scaleOf(q: Tensor, { scale }: AttentionOptions): number {
  if (scale === undefined) return 1 / Math.sqrt(shapeOf('attention', 'q', q).at(-1) || 1);
  checkNumber('attention', 'scale', scale);
  return scale;
}

type Kernel = (causal: boolean, returnLse: boolean, ...mask: MaskHandles) => [output: number, lse: number];

/** Plain causal masks, the common case, are a flag of the kernel. */
function run(q: Tensor, { mask, returnLse = false }: AttentionOptions, kernel: Kernel): Tensor | AttentionResult {
  checkBoolean('attention', 'returnLse', returnLse);
  const none: MaskHandles = [undefined, 0, 0, 0, 0];
  if (mask !== undefined) checkMask('attention', 'mask', mask);
  const [output, lse] =
    mask === undefined || mask.kind === 'causal'
      ? kernel(mask !== undefined, returnLse, ...none)
      : mask.lower(q.device, (handles) => kernel(false, returnLse, ...handles));
  return returnLse ? { output: wrap(output), lse: wrap(lse) } : wrap(output);
}
