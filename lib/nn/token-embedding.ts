import { checkBoolean, checkInteger, checkOneOf, checkOptions, rangeError, typeError } from '../check';
import { add } from '../ops/arithmetic';
import { embedding } from '../ops/embedding';
import { linear } from '../ops/linear';
import { scope } from '../tensor/scope';
import { shapeOf, tensor, type FloatDType, type Tensor } from '../tensor/tensor';
import { checkDropout, drawsOf, drop, PASS_KEYS, type PassOptions } from './dropout';
import { scaleBy } from './layers';
import { checkSource, join, type ParameterSource } from './parameters';
import { sinusoidalPositions } from './positions';

const POSITIONS = ['none', 'learned', 'sinusoidal'] as const;

export interface TokenEmbeddingOptions {
  /** V */
  vocabSize: number;
  /** C */
  width: number;
  /** Vectors of tokens are multiplied by √C before positions are added (Vaswani et al., 2017, section 3.4). Default false. */
  scaled?: boolean | undefined;
  /** What is added to the vectors of tokens; sinusoids are interleaved (the same, section 3.5). Default 'none'. */
  positions?: (typeof POSITIONS)[number] | undefined;
  /** P, positions that there are. Needed where there are any. */
  maxPositions?: number | undefined;
  /** Probability that an element of the sum is dropped, in a pass with dropout. Default 0. */
  dropout?: number | undefined;
}

export interface TokenEmbeddingInput extends PassOptions {
  /** [B, T] int32. Default `offset`, `offset` + 1, … in each row. */
  positions?: Tensor | undefined;
  /** Position of the first token. Default 0. */
  offset?: number | undefined;
}

const NAME = 'TokenEmbedding';

/**
 * Vectors of tokens with positions. Parameters: `weight` [V, C]; `positions.weight` [P, C] where they are learned. The
 * table is there once, packed, and can serve as output head: see `logits`.
 */
export class TokenEmbedding implements Disposable {
  readonly #table: Tensor;
  readonly #dtype: FloatDType;
  readonly #positions: Tensor | undefined;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: TokenEmbeddingOptions,
  ) {
    checkSource(NAME, source, path);
    checkOptions(NAME, options, ['vocabSize', 'width', 'scaled', 'positions', 'maxPositions', 'dropout']);
    const { vocabSize, width, scaled = false, positions = 'none', maxPositions, dropout = 0 } = options ?? {};
    checkInteger(NAME, 'vocabSize', vocabSize, 1, 2 ** 31 - 1);
    checkInteger(NAME, 'width', width, 1, 2 ** 24);
    checkBoolean(NAME, 'scaled', scaled);
    checkOneOf(NAME, 'positions', positions, POSITIONS);
    if (positions !== 'none') checkInteger(NAME, 'maxPositions', maxPositions, 1, 2 ** 31 - 1);
    checkDropout(NAME, dropout);
    const table = source.matrix(join(path, 'weight'), [vocabSize, width]);
    this.#table = table;
    this.#dtype = source.dtype ?? (table.dtype as FloatDType);
    const shape = [maxPositions ?? 0, width] as const;
    if (positions === 'learned') this.#positions = source.dense(join(path, 'positions.weight'), shape);
    if (positions === 'sinusoidal') {
      const values = Float32Array.from(sinusoidalPositions({ length: shape[0], dim: width }));
      this.#positions = tensor(values, shape, { dtype: this.#dtype, device: source.device });
    }
  }

  /**
   * @param ids [B, T] int32
   * @returns [B, T, C], of the parameters' dtype. An id or a position outside its table is a RangeError when the result
   *   is read (code INDEX_OUT_OF_RANGE).
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(ids: Tensor, input: TokenEmbeddingInput = {}): Tensor {
    checkOptions(NAME, input, ['positions', 'offset', ...PASS_KEYS]);
    const { positions, offset = 0 } = input;
    const { width, scaled = false, maxPositions = 0, dropout = 0 } = this.options;
    const draws = drawsOf(NAME, input);
    const shape = shapeOf(NAME, 'ids', ids);
    if (shape.length !== 2) throw rangeError(NAME, 'ids', 'of shape [B, T]', shape);
    checkInteger(NAME, 'offset', offset, 0);
    const table = this.#positions;
    if (!table && positions !== undefined) throw typeError(NAME, 'positions', 'absent: the layer has none', positions);
    const [, tokens = 0] = shape;
    if (table && positions === undefined && offset + tokens > maxPositions) {
      throw rangeError(NAME, 'ids', `of at most ${maxPositions} positions`, offset + tokens);
    }
    return scope(() => {
      const vectors = embedding(this.#table, ids, { dtype: this.#dtype });
      const sized = scaled ? scaleBy(vectors, Math.sqrt(width)) : vectors;
      if (!table) return drop(sized, dropout, draws);
      const placed = positions ? embedding(table, positions) : table.slice(0, offset, offset + tokens);
      return drop(add(sized, placed), dropout, draws);
    });
  }

  /** x [..., C] → scores of the tokens by the same table, [..., V] float32 (Press and Wolf, 2017: weight tying). */
  logits(x: Tensor): Tensor {
    return linear(x, this.#table, { outDtype: 'float32' });
  }

  [Symbol.dispose](): void {
    this.#table.dispose();
    this.#positions?.dispose();
  }
}
