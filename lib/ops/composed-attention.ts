import { checkBoolean, checkInteger, checkNumber, checkOptions, rangeError } from '../check';
import { scope } from '../tensor/scope';
import { shapeOf, unwrap, type Tensor } from '../tensor/tensor';
import { attention } from './attention';
import { linear } from './linear';
import { checkMask, mask, type Mask } from './mask';
import { rmsNorm } from './rms-norm';

// Attentions of the literature that are attention of something else, or with a mask of their own.

/** The sizes of an operand [B, H, T, D]. */
function sizesOf(name: string, argument: string, x: Tensor): readonly [number, number, number, number] {
  const shape = shapeOf(name, argument, x);
  if (shape.length !== 4) throw rangeError(name, argument, 'of shape [B, H, T, D]', shape);
  return shape as unknown as readonly [number, number, number, number];
}

export interface LinformerAttentionOptions {
  /** E [K, L], L ≥ Tk: what each of K keys is made of. Of a shorter sequence its first columns count. */
  keyProjection: Tensor;
  /** F [K, L], the same for the values. Default E. */
  valueProjection?: Tensor | undefined;
  /** Default 1 / sqrt(Dk). */
  scale?: number | undefined;
}

/**
 * Linformer (Wang et al., 2020, equation 7): attention over K keys and values that are sums of all of them,
 * softmax(scale · q (E k)ᵀ) (F v). Time grows with T · K. Every key counts: there is no mask.
 *
 * @param q [B, H, Tq, Dk]; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function linformerAttention(q: Tensor, k: Tensor, v: Tensor, options: LinformerAttentionOptions): Tensor {
  const name = 'linformerAttention';
  checkOptions(name, options, ['keyProjection', 'valueProjection', 'scale']);
  const { keyProjection, valueProjection = keyProjection, scale } = options ?? {};
  const project = (x: Tensor, argument: string, projection: Tensor, projectionName: string): Tensor => {
    const [, , tokens] = sizesOf(name, argument, x);
    const shape = shapeOf(name, projectionName, projection);
    if (shape.length !== 2 || shape[1]! < tokens) {
      throw rangeError(name, projectionName, `of shape [K, L] with L ≥ ${tokens}`, shape);
    }
    return linear(x.transpose(2, 3), projection.slice(1, 0, tokens)).transpose(2, 3);
  };
  return scope(() => {
    const keys = project(k, 'k', keyProjection, 'keyProjection');
    const values = project(v, 'v', valueProjection, 'valueProjection');
    return attention(q, keys, values, { scale });
  });
}

export interface LocalAttentionOptions {
  /** Tokens of a block; the last may be shorter. */
  blockSize: number;
  /** Only keys up to the query's own. Default false. */
  causal?: boolean | undefined;
  /** Default 1 / sqrt(Dk). */
  scale?: number | undefined;
}

/**
 * Local block attention (Parmar et al., 2018, section 4): each block of tokens attends to itself and to the blocks beside
 * it. Time grows with T · blockSize.
 *
 * @param q [B, H, T, Dk]; H is a multiple of Hkv.
 * @param k [B, Hkv, T, Dk]
 * @param v [B, Hkv, T, Dv]
 * @returns [B, H, T, Dv]
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function localAttention(q: Tensor, k: Tensor, v: Tensor, options: LocalAttentionOptions): Tensor {
  const name = 'localAttention';
  checkOptions(name, options, ['blockSize', 'causal', 'scale']);
  const { blockSize, causal = false, scale } = options ?? {};
  checkInteger(name, 'blockSize', blockSize, 1, 2 ** 30);
  checkBoolean(name, 'causal', causal);
  const [, , tokens] = sizesOf(name, 'q', q);
  const [, , keys] = sizesOf(name, 'k', k);
  if (keys !== tokens) throw rangeError(name, 'k', `of ${tokens} tokens, as q is,`, k.shape);
  // Pairs of neighbours: those of an even block and the next, and those of an odd one and the next.
  const pairs = (shift: number) =>
    mask.documents(Int32Array.from({ length: tokens }, (_, t) => Math.floor((Math.floor(t / blockSize) + shift) / 2)));
  const near = pairs(0).or(pairs(1));
  return attention(q, k, v, { mask: causal ? near.and(mask.causal()) : near, scale });
}

export interface CosineAttentionOptions {
  /** What cosines are multiplied by: the inverse of a temperature. Swin v2 learns one a head, at most 100. */
  scale: number;
  mask?: Mask | undefined;
}

/**
 * Attention by the angles between queries and keys: softmax(scale · cos(q, k)) v (Liu et al., 2021, Swin Transformer v2,
 * section 3.2; Henry et al., 2020).
 *
 * @param q [B, H, Tq, Dk]; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]. A vector of length 0 has a cosine of 0 with all.
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function cosineAttention(q: Tensor, k: Tensor, v: Tensor, options: CosineAttentionOptions): Tensor {
  const name = 'cosineAttention';
  checkOptions(name, options, ['scale', 'mask']);
  const { scale, mask: keep } = options ?? {};
  checkNumber(name, 'scale', scale);
  if (keep !== undefined) checkMask(name, 'mask', keep);
  const [, , , width] = sizesOf(name, 'q', q);
  sizesOf(name, 'k', k);
  unwrap(name, 'v', v);
  return scope(() => {
    // A root mean square of 1 is a length of √Dk.
    const [queries, keys] = [rmsNorm(q, { eps: EPS }), rmsNorm(k, { eps: EPS })];
    return attention(queries, keys, v, { scale: scale / Math.max(1, width), mask: keep });
  });
}

/** Keeps what has no length from a division by 0. */
const EPS = 1e-24;
