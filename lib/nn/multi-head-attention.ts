import { checkBoolean, checkOptions, rangeError, typeError } from '../check';
import { attention } from '../ops/attention';
import { checkBias, type Bias } from '../ops/bias';
import { cast } from '../ops/cast';
import { KVCache } from '../ops/kv-cache';
import { checkMask, mask as masks, type Mask } from '../ops/mask';
import { matmul } from '../ops/matmul';
import { scope } from '../tensor/scope';
import { shapeOf, type Tensor } from '../tensor/tensor';
import { checkDropout, drawsOf, drop, PASS_KEYS, type PassOptions } from './dropout';
import { Heads, HEADS_KEYS, type HeadsOptions } from './heads';
import type { ParameterSource } from './parameters';

export interface MultiHeadAttentionOptions extends HeadsOptions {
  /** Probability that a weight is dropped, in a pass with dropout. Default 0. */
  dropout?: number | undefined;
}

export interface MultiHeadAttentionInput extends PassOptions {
  /** [B, Tk, Ck]. Default: the queries, for self-attention. */
  keys?: Tensor | undefined;
  /** [B, Tk, Cv]. Default: the keys. */
  values?: Tensor | undefined;
  /** Which keys a query may attend to; default: all. */
  mask?: Mask | undefined;
  /** Added to the scores, before the mask. */
  bias?: Bias | undefined;
  /** Also give the weights. Default false. */
  returnWeights?: boolean | undefined;
}

export interface MultiHeadAttentionResult {
  /** [B, Tq, C] */
  output: Tensor;
  /** [B, H, Tq, Tk] float32, those that were dropped 0. */
  weights: Tensor;
}

export interface CachedStep {
  /** Holds the keys and values of earlier tokens; those of this step are appended. The caller advances it. */
  cache: KVCache;
  /** Its layer. Default 0. */
  layer?: number | undefined;
  /** [B + 1] int32: tokens cu[b] … cu[b + 1] - 1 are those of sequence b. */
  cuSeqlens: Tensor;
  /** Default `mask.causal()`. */
  mask?: Mask | undefined;
  /** Added to the scores, before the mask. */
  bias?: Bias | undefined;
}

const NAME = 'MultiHeadAttention';

/**
 * Multi-head attention (Vaswani et al., 2017, section 3.2.2), self or cross. Parameters by the names of PyTorch's
 * nn.MultiheadAttention: see `HeadsOptions` and `parameters`. Masks are heddle's: true means may attend.
 */
export class MultiHeadAttention implements Disposable {
  readonly #heads: Heads;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: MultiHeadAttentionOptions,
  ) {
    checkOptions(NAME, options, [...HEADS_KEYS, 'dropout']);
    checkDropout(NAME, options?.dropout ?? 0);
    this.#heads = new Heads(NAME, source, path, options ?? {});
  }

  /**
   * @param queries [B, Tq, C], of the parameters' dtype.
   * @returns [B, Tq, C]; with `returnWeights` that and the weights. A query that may attend to nothing gives the output
   *   projection of 0.
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(queries: Tensor, input: MultiHeadAttentionInput & { returnWeights: true }): MultiHeadAttentionResult;
  forward(queries: Tensor, input?: MultiHeadAttentionInput & { returnWeights?: false | undefined }): Tensor;
  forward(queries: Tensor, input: MultiHeadAttentionInput = {}): Tensor | MultiHeadAttentionResult {
    checkOptions(NAME, input, ['keys', 'values', 'mask', 'bias', 'returnWeights', ...PASS_KEYS]);
    const { mask, bias, returnWeights = false } = input;
    checkBoolean(NAME, 'returnWeights', returnWeights);
    if (mask !== undefined) checkMask(NAME, 'mask', mask);
    if (bias !== undefined) checkBias(NAME, 'bias', bias);
    const { dropout = 0 } = this.options;
    const draws = dropout > 0 ? drawsOf(NAME, input) : undefined;
    if (draws && bias?.relativeValues) throw rangeError(NAME, 'bias', 'one without values where weights drop', bias);
    return scope(() => {
      const [q, k, v] = this.#heads.operands(queries, input);
      if (!returnWeights && !draws) return this.#heads.merge(attention(q, k, v, { mask, bias }));
      const attended = attention(q, k, v, { mask, bias, returnWeights: true });
      const weights = drop(attended.weights, dropout, draws);
      const output = this.#heads.merge(draws ? matmul(cast(weights, v.dtype), v) : attended.output);
      return returnWeights ? { output, weights } : output;
    });
  }

  /**
   * Self-attention of new tokens over a cache, ragged: what incremental decoding is made of. Without dropout.
   *
   * @param x [N, C]: the step's tokens of all sequences.
   * @returns [N, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  step(x: Tensor, step: CachedStep): Tensor {
    const name = `${NAME}.step`;
    checkOptions(name, step, ['cache', 'layer', 'cuSeqlens', 'mask', 'bias']);
    const { cache, layer = 0, cuSeqlens, mask = masks.causal(), bias } = step ?? {};
    const shape = shapeOf(name, 'x', x);
    const { width } = this.options;
    if (shape.length !== 2 || shape[1] !== width) throw rangeError(name, 'x', `of shape [N, ${width}]`, shape);
    if (!(cache instanceof KVCache)) throw typeError(name, 'cache', 'a KVCache', cache);
    return scope(() => {
      cache.append(layer, this.#heads.project('k', x), this.#heads.project('v', x), cuSeqlens);
      const heads = attention(this.#heads.project('q', x), cache.layer(layer), { mask, bias, cuSeqlens });
      return this.#heads.merge(heads);
    });
  }

  [Symbol.dispose](): void {
    this.#heads[Symbol.dispose]();
  }
}
