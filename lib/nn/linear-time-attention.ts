import { checkBoolean, checkInteger, checkOneOf, checkOptions } from '../check';
import { linformerAttention } from '../ops/composed-attention';
import type { KeyPadding } from '../ops/linear-attention';
import { orthogonalFeatures, performerAttention } from '../ops/performer';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { Heads, HEADS_KEYS, type HeadsOptions } from './heads';
import { join, type ParameterSource } from './parameters';

// Layers whose time grows with the number of tokens, not with its square. Parameters are those of `MultiHeadAttention`,
// so that its weights load, and some of their own.

export interface PerformerAttentionOptions extends HeadsOptions {
  /** What the products of features stand for: see `favorFeatures`. Default 'softmax'. */
  kernel?: 'softmax' | 'relu' | undefined;
  /** A token attends to none after it. Default false. */
  causal?: boolean | undefined;
  /** M. Default ⌊D ln D⌋ for heads of width D. */
  numFeatures?: number | undefined;
  /** Of the features: see `redraw`. Default 0. */
  seed?: number | undefined;
  /** The features are a parameter, `projection` [M, D] float32, and not drawn; M must be given. Default false. */
  storedFeatures?: boolean | undefined;
}

export interface KernelAttentionInput {
  /** [B, Tk, Ck]. Default: the queries, for self-attention. */
  keys?: Tensor | undefined;
  /** [B, Tk, Cv]. Default: the keys. */
  values?: Tensor | undefined;
  /** Which keys are there. Default: all. */
  padding?: KeyPadding | undefined;
}

/**
 * Multi-head attention by positive orthogonal random features (Choromanski et al., 2020): see `performerAttention`.
 * Parameters are those of `MultiHeadAttention`.
 */
export class PerformerAttention implements Disposable {
  readonly #heads: Heads;
  #projection: Tensor;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    private readonly source: ParameterSource,
    path: string,
    readonly options: PerformerAttentionOptions,
  ) {
    const name = 'PerformerAttention';
    const own = ['kernel', 'causal', 'numFeatures', 'seed', 'storedFeatures'];
    checkOptions(name, options, [...HEADS_KEYS, ...own]);
    const { kernel = 'softmax', causal = false, storedFeatures = false, seed = 0 } = options ?? {};
    checkOneOf(name, 'kernel', kernel, ['softmax', 'relu']);
    checkBoolean(name, 'causal', causal);
    checkBoolean(name, 'storedFeatures', storedFeatures);
    checkInteger(name, 'seed', seed, 0);
    const { numFeatures } = options ?? {};
    if (numFeatures !== undefined || storedFeatures) checkInteger(name, 'numFeatures', numFeatures, 1, 2 ** 24);
    this.#heads = new Heads(name, source, path, options ?? {});
    const stored = [numFeatures ?? 0, this.#heads.headDim];
    this.#projection = storedFeatures ? source.dense(join(path, 'projection'), stored) : this.#draw(seed);
  }

  #draw(seed: number): Tensor {
    const { numFeatures } = this.options;
    return orthogonalFeatures({ headDim: this.#heads.headDim, numFeatures, seed, device: this.source.device });
  }

  /** Other features for what comes: the same seed gives the same. */
  redraw(seed: number): void {
    checkInteger('PerformerAttention.redraw', 'seed', seed, 0);
    const projection = this.#draw(seed);
    this.#projection.dispose();
    this.#projection = projection;
  }

  /**
   * @param queries [B, Tq, C], of the parameters' dtype.
   * @returns [B, Tq, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(queries: Tensor, input: KernelAttentionInput = {}): Tensor {
    checkOptions('PerformerAttention', input, ['keys', 'values', 'padding']);
    const { kernel, causal } = this.options;
    return scope(() => {
      const operands = this.#heads.operands(queries, input);
      const options = { kernel, causal, padding: input.padding, projection: this.#projection };
      return this.#heads.merge(performerAttention(...operands, options));
    });
  }

  [Symbol.dispose](): void {
    this.#heads[Symbol.dispose]();
    this.#projection.dispose();
  }
}

export interface LinformerAttentionOptions extends HeadsOptions {
  /** L: tokens that a sequence may have. */
  maxLength: number;
  /** K: keys and values that all of them become. */
  numProjected: number;
  /** Keys and values are projected alike, by E (the paper's section 4: key-value sharing). Default false. */
  shared?: boolean | undefined;
}

/**
 * Multi-head attention over K projected keys and values (Wang et al., 2020, section 4): see `linformerAttention`.
 * Parameters are those of `MultiHeadAttention`, and `E.weight` [K, L], `F.weight` [K, L], the same for all heads.
 */
export class LinformerAttention implements Disposable {
  readonly #heads: Heads;
  readonly #e: Tensor;
  readonly #f: Tensor | undefined;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: LinformerAttentionOptions,
  ) {
    const name = 'LinformerAttention';
    checkOptions(name, options, [...HEADS_KEYS, 'maxLength', 'numProjected', 'shared']);
    const { maxLength, numProjected, shared = false } = options ?? {};
    checkInteger(name, 'maxLength', maxLength, 1, 2 ** 30);
    checkInteger(name, 'numProjected', numProjected, 1, 2 ** 30);
    checkBoolean(name, 'shared', shared);
    this.#heads = new Heads(name, source, path, options);
    const load = (part: string) => source.dense(join(path, `${part}.weight`), [numProjected, maxLength]);
    this.#e = load('E');
    if (!shared) this.#f = load('F');
  }

  /**
   * @param queries [B, Tq, C], of the parameters' dtype. Of sequences shorter than L the first columns of E and F count;
   *   every token counts: there is no mask.
   * @returns [B, Tq, C]
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(queries: Tensor, input: Omit<KernelAttentionInput, 'padding'> = {}): Tensor {
    checkOptions('LinformerAttention', input, ['keys', 'values']);
    return scope(() => {
      const operands = this.#heads.operands(queries, input);
      const projections = { keyProjection: this.#e, valueProjection: this.#f };
      return this.#heads.merge(linformerAttention(...operands, projections));
    });
  }

  [Symbol.dispose](): void {
    this.#heads[Symbol.dispose]();
    this.#e.dispose();
    this.#f?.dispose();
  }
}
