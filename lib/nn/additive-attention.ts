import { checkBoolean, checkInteger, checkOptions, rangeError } from '../check';
import { tanh } from '../ops/activation';
import { add } from '../ops/arithmetic';
import { attention } from '../ops/attention';
import { bias } from '../ops/bias';
import { checkMask, type Mask } from '../ops/mask';
import { scope } from '../tensor/scope';
import { shapeOf, tensor, type FloatDType, type Tensor } from '../tensor/tensor';
import { checkSequences } from './heads';
import { Linear } from './layers';
import { checkSource, join, type ParameterSource } from './parameters';

/** What the attentions of recurrent encoder-decoders take besides queries and keys. */
export interface ContextInput {
  /** [B, Tk, Cv]: what is summed. Default: the keys. */
  values?: Tensor | undefined;
  /** Which keys a query may attend to, as of one head; default: all. */
  mask?: Mask | undefined;
}

/** Of attention with one head. */
export interface Context {
  /** [B, Tq, Cv] */
  output: Tensor;
  /** [B, Tq, Tk] float32 */
  weights: Tensor;
}

export interface BahdanauAttentionOptions {
  /** Cq, of the decoder's states. */
  queryWidth: number;
  /** Ck, of the encoder's states. */
  keyWidth: number;
  /** A, of the layer within. */
  width: number;
  /** There is a `bias`. Default true. */
  bias?: boolean | undefined;
}

/**
 * Additive attention (Bahdanau et al., 2015, appendix A.1.2): the score of a pair is v · tanh(W_query q + W_keys k + bias).
 * Parameters: `query.weight` [A, Cq], `keys.weight` [A, Ck], `bias` [A], `v.weight` [1, A].
 *
 * Time and memory grow with Tq · Tk · A: each pair has a layer of its own.
 */
export class BahdanauAttention implements Disposable {
  readonly #query: Linear;
  readonly #keys: Linear;
  readonly #v: Linear;

  /**
   * @param path of the layer in the source; '' for one that stands alone.
   * @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape.
   */
  constructor(
    source: ParameterSource,
    path: string,
    readonly options: BahdanauAttentionOptions,
  ) {
    const name = 'BahdanauAttention';
    checkSource(name, source, path);
    checkOptions(name, options, ['queryWidth', 'keyWidth', 'width', 'bias']);
    const { queryWidth, keyWidth, width, bias: hasBias = true } = options ?? {};
    for (const [key, value] of Object.entries({ queryWidth, keyWidth, width }))
      checkInteger(name, key, value, 1, 2 ** 24);
    checkBoolean(name, 'bias', hasBias);
    const offset = hasBias ? source.dense(join(path, 'bias'), [width]) : undefined;
    this.#query = Linear.load(source, join(path, 'query'), [width, queryWidth], false);
    this.#keys = new Linear(source.matrix(join(path, 'keys.weight'), [width, keyWidth]), offset);
    this.#v = Linear.load(source, join(path, 'v'), [1, width], false);
  }

  /**
   * @param queries [B, Tq, Cq], of the parameters' dtype: one state, where a decoder goes word by word.
   * @param keys [B, Tk, Ck]
   * @returns context and weights. A query that may attend to nothing gives 0.
   * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
   */
  forward(queries: Tensor, keys: Tensor, input: ContextInput = {}): Context {
    const name = 'BahdanauAttention';
    const { queryWidth, keyWidth } = this.options;
    checkContext(name, [queries, queryWidth], [keys, keyWidth], input);
    return scope(() => {
      const scores = additiveScores(this.#query.forward(queries), this.#keys.forward(keys), this.#v);
      return contextOf(scores, input.values ?? keys, input.mask);
    });
  }

  [Symbol.dispose](): void {
    for (const part of [this.#query, this.#keys, this.#v]) part[Symbol.dispose]();
  }
}

/** For layers: v · tanh(q + k) of all pairs, q [B, Tq, A] and k [B, Tk, A] → [B, 1, Tq, Tk] float32. */
export function additiveScores(q: Tensor, k: Tensor, v: Linear): Tensor {
  const [batch = 0, queries = 0, width = 0] = q.shape;
  const keys = k.shape[1] ?? 0;
  const pairs = tanh(add(q.reshape([batch, queries, 1, width]), k.reshape([batch, 1, keys, width])));
  return v.forward(pairs, { outDtype: 'float32' }).reshape([batch, 1, queries, keys]);
}

/** For layers: softmax(mask(scores)) values, for scores [B, 1, Tq, Tk] that are no products. */
export function contextOf(scores: Tensor, values: Tensor, mask: Mask | undefined): Context {
  const [batch = 0, , queries = 0, keys = 0] = scores.shape;
  const dtype = values.dtype as FloatDType;
  const nothing = (tokens: number) =>
    tensor(new Float32Array(batch * tokens), [batch, 1, tokens, 1], { dtype, device: values.device });
  return oneHead(
    attention(nothing(queries), nothing(keys), withHead(values), {
      bias: bias.dense(scores),
      mask,
      returnWeights: true,
    }),
  );
}

/** For layers: [B, T, C] → [B, 1, T, C]. */
export function withHead(x: Tensor): Tensor {
  const [batch = 0, ...rest] = x.shape;
  return x.reshape([batch, 1, ...rest]);
}

/** For layers: [B, 1, …] → [B, …]. */
export function oneHead({ output, weights }: { output: Tensor; weights: Tensor }): Context {
  const without = (x: Tensor) => x.reshape([x.shape[0] ?? 0, ...x.shape.slice(2)]);
  return { output: without(output), weights: without(weights) };
}

/** For layers: operands and options of a `forward`. */
export function checkContext(
  name: string,
  [queries, queryWidth]: [queries: Tensor, width: number],
  [keys, keyWidth]: [keys: Tensor, width: number],
  input: ContextInput,
): void {
  checkOptions(name, input, ['values', 'mask']);
  checkSequences(name, 'queries', queries, queryWidth);
  checkSequences(name, 'keys', keys, keyWidth);
  const [batch, tokens] = keys.shape as [number, number, number];
  if (queries.shape[0] !== batch)
    throw rangeError(name, 'queries', `of ${batch} sequences, as keys are,`, queries.shape);
  if (input.values !== undefined) {
    const shape = shapeOf(name, 'values', input.values);
    if (shape.length !== 3 || shape[0] !== batch || shape[1] !== tokens) {
      throw rangeError(name, 'values', `of shape [${batch}, ${tokens}, Cv]`, shape);
    }
  }
  if (input.mask !== undefined) checkMask(name, 'mask', input.mask);
}
