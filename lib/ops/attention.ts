import { native, type AttentionSettings, type ScoreWish } from '../native';
import { checkBoolean, checkInteger, checkNumber, checkOneOf, checkOptions, rangeError, typeError } from '../check';
import { scope } from '../tensor/scope';
import { shapeOf, Tensor, tensor, unwrap, unwrapOptional, wrap } from '../tensor/tensor';
import { checkBias, NO_BIAS, type Bias, type BiasOperands } from './bias';
import { cast } from './cast';
import type { LayerCache } from './kv-cache';
import { linear } from './linear';
import { checkMask, integers, NO_MASK, type Lengths, type Mask } from './mask';

/** Stages of the scores, in the order of the native ScoreStage. */
const STAGES = ['qk', 'softcap', 'masked', 'weights'] as const;
type Stage = (typeof STAGES)[number];

/** Some queries and heads, by number; default: all. */
export interface Selection {
  heads?: readonly number[] | undefined;
  /** Of each sequence; over a cache: of the N tokens. */
  rows?: readonly number[] | undefined;
}

export interface AttentionOptions {
  /** Which keys a query may attend to; default: all. */
  mask?: Mask | undefined;
  /** Added to the scores, before the mask. */
  bias?: Bias | undefined;
  /** Scores are multiplied by it. Default 1 / sqrt(Dk). */
  scale?: number | undefined;
  /** Scores become softcap · tanh(score / softcap) (Gemma Team, 2024, section 2), before bias and mask. */
  softcap?: number | undefined;
  /** [H] float32: a head's share of weight that goes to no key, as a score beside those of the keys. */
  sinks?: Tensor | undefined;
  /** Key position of a sequence's first query: [B], or one for all; may be negative. Default: behind the earlier keys. */
  queryOffset?: Lengths | undefined;
  /** Also give lse, the logarithm of each row's sum of e^score. Default false. */
  returnLse?: boolean | undefined;
  /** Also give the weights, of all queries and heads or of some. Default false. */
  returnWeights?: boolean | Selection | undefined;
  /**
   * Also give the scores, of all pairs: 'qk' scale · q · k; 'softcap' after the soft cap; 'masked' with bias, and -∞
   * where a query may not attend.
   */
  returnScores?: Exclude<Stage, 'weights'> | undefined;
}

interface Extras {
  /** float32: [B, H, Tq], over a cache [N, H]. ln (Σ e^score + e^sink); -∞ for a row that may attend to nothing. */
  lse: Tensor;
  /** float32: softmax(scores), [B, H, Tq, Tk] (of the heads and rows selected), over a cache [N, H, capacity]. */
  weights: Tensor;
  /** float32, of the same shape as all weights. */
  scores: Tensor;
}

/** The output alone; with what options ask for beside it, an object. */
export type AttentionResult<O> = O extends Lse | Weights | Scores
  ? { output: Tensor } & (O extends Lse ? Pick<Extras, 'lse'> : unknown) &
      (O extends Weights ? Pick<Extras, 'weights'> : unknown) &
      (O extends Scores ? Pick<Extras, 'scores'> : unknown)
  : Tensor;
interface Lse {
  returnLse: true;
}
interface Weights {
  returnWeights: true | Selection;
}
interface Scores {
  returnScores: string;
}

export interface CachedAttentionOptions extends AttentionOptions {
  /** [B + 1] int32: queries cu[b] … cu[b + 1] - 1 are those of sequence b. */
  cuSeqlens: Tensor;
  /**
   * Cross-attention (Vaswani et al., 2017, section 3.2.3): the cache holds a source's keys, and those alone are met.
   * Default false: the queries' own keys were appended.
   */
  cross?: boolean | undefined;
}

const NAME = 'attention';
const KEYS = ['mask', 'bias', 'scale', 'softcap', 'sinks', 'queryOffset', 'returnLse', 'returnWeights', 'returnScores'];

/**
 * Scaled dot-product attention (Vaswani et al., 2017, section 3.2.1), with grouped heads (Ainslie et al., 2023):
 *
 *     softmax(mask(softcap(scale · q kᵀ) + bias)) v
 *
 * One pass over the keys, no Tq × Tk matrix unless it is asked for (Dao et al., 2022). All of one float dtype; scores and
 * sums are float32.
 *
 * Dense: `attention(q, k, v, options)`
 * @param q [B, H, Tq, Dk], any strides; H is a multiple of Hkv.
 * @param k [B, Hkv, Tk, Dk]
 * @param v [B, Hkv, Tk, Dv]
 * @returns [B, H, Tq, Dv]; with a `return…` option an object of that and what was asked for. Query i stands at key
 *   position Tk - Tq + i.
 *
 * Over a cache, with ragged queries: `attention(q, cache.layer(i), options)`
 * @param q [N, H, Dk]
 * @param cache keys and values, those of the queries appended, `advance` not yet called; with `cross` those of a source.
 * @returns [N, H, Dv]. Query i of a sequence stands behind the keys that it held before this step; with `cross` the last
 *   one stands at the last key.
 *
 * A row that may attend to nothing gives 0. Rows do not depend on what else is in the batch.
 * @throws TypeError, RangeError for dtypes, shapes and options that do not fit.
 */
export function attention<const O extends AttentionOptions = object>(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options?: O,
): AttentionResult<O>;
export function attention<const O extends CachedAttentionOptions>(
  q: Tensor,
  cache: LayerCache,
  options: O,
): AttentionResult<O>;
export function attention(
  q: Tensor,
  second: Tensor | LayerCache,
  third: Tensor | CachedAttentionOptions,
  options: AttentionOptions = {},
): Tensor | ({ output: Tensor } & Partial<Extras>) {
  if (isLayerCache(second)) return cachedAttention(q, second, third as CachedAttentionOptions);
  checkOptions(NAME, options, KEYS);
  const args = [unwrap(NAME, 'q', q), unwrap(NAME, 'k', second), unwrap(NAME, 'v', third)] as const;
  const [batch = 0, , queries = 0] = shapeOf(NAME, 'q', q);
  const keys = shapeOf(NAME, 'k', second)[2] ?? 0;
  return run(q, options, {
    sequences: batch,
    operands: () => ({ q: q.transpose(1, 2), k: second.transpose(1, 2) }),
    rowsOf: (rows) => {
      checkIndices('rows', rows, queries);
      return Array.from({ length: batch }, (_, b) => rows.map((row) => row + b * queries)).flat();
    },
    scoresOf: (scores, rows = queries) =>
      scores
        .slice(2, 0, keys)
        .reshape([batch, rows, scores.shape[1] ?? 0, keys])
        .transpose(1, 2),
    call: (...settings) => native.attention(...args, ...settings),
  });
}

function isLayerCache(value: unknown): value is LayerCache {
  return typeof value === 'object' && value !== null && !(value instanceof Tensor) && 'blockTable' in value;
}

function cachedAttention(q: Tensor, cache: LayerCache, options: CachedAttentionOptions) {
  checkOptions(NAME, options, [...KEYS, 'cuSeqlens', 'cross']);
  const cross = options?.cross ?? false;
  checkBoolean(NAME, 'cross', cross);
  checkInteger(NAME, 'cache.valueDim', cache.valueDim, 1, 2 ** 31 - 1);
  const args = [
    unwrap(NAME, 'q', q),
    unwrap(NAME, 'cuSeqlens', options?.cuSeqlens),
    unwrap(NAME, 'cache', cache.pages),
    unwrap(NAME, 'cache', cache.blockTable),
    unwrap(NAME, 'cache', cache.lengths),
    cache.valueDim,
    cross,
  ] as const;
  return run(q, options, {
    sequences: shapeOf(NAME, 'cache', cache.lengths)[0] ?? 0,
    operands: () => ({ q: q.reshape([1, ...q.shape]) }),
    rowsOf: (rows) => {
      checkIndices('rows', rows, q.shape[0] ?? 0);
      return rows;
    },
    scoresOf: (scores) => scores,
    call: (...settings) => native.cachedAttention(...args, ...settings),
  });
}

/** What differs between dense queries and those over a cache. */
interface Form {
  sequences: number;
  /** For biases. */
  operands: () => BiasOperands;
  /** Rows that were selected → queries, counted along all. */
  rowsOf: (rows: readonly number[]) => readonly number[];
  /** [R, S, K] → as users get them; `rows`: of each sequence, if not all. */
  scoresOf: (scores: Tensor, rows: number | undefined) => Tensor;
  call: (...settings: AttentionSettings) => [output: number, lse: number, ...scores: number[]];
}

function run(q: Tensor, options: AttentionOptions, form: Form): Tensor | ({ output: Tensor } & Partial<Extras>) {
  const { mask, bias, softcap, sinks, returnLse = false, returnWeights = false, returnScores } = options;
  if (mask !== undefined) checkMask(NAME, 'mask', mask);
  if (bias !== undefined) checkBias(NAME, 'bias', bias);
  if (softcap !== undefined) checkNumber(NAME, 'softcap', softcap);
  if (softcap !== undefined && softcap <= 0) throw rangeError(NAME, 'softcap', 'more than 0', softcap);
  checkBoolean(NAME, 'returnLse', returnLse);
  const selection = checkSelection(q, returnWeights);
  if (returnScores !== undefined) checkOneOf(NAME, 'returnScores', returnScores, STAGES.slice(0, 3));
  const settings = [scaleOf(q, options), softcap ?? 0, mask?.isCausal ?? false] as const;
  const sinkHandle = unwrapOptional(NAME, 'sinks', sinks);

  return scope(() => {
    const wishes: ScoreWish[] = [];
    const wish = (stage: Stage, { rows, heads }: Selection = {}, low = 0, distances = 0) => {
      const list = (chosen: readonly number[] | undefined) => chosen && Int32Array.from(chosen);
      wishes.push([STAGES.indexOf(stage), list(rows && form.rowsOf(rows)), list(heads), low, distances]);
    };
    if (returnScores !== undefined) wish(returnScores);
    if (selection) wish('weights', selection);
    const relative = bias?.relativeValues;
    if (relative) wish('weights', {}, relative.low, relative.table.shape[0]);
    const [output, lse, ...scores] = form.call(
      ...settings,
      sinkHandle,
      offsetsOf(q, options, form.sequences),
      ...(mask === undefined || mask.isCausal ? NO_MASK : mask.lower(q.device)),
      ...(bias?.lower(form.operands()) ?? NO_BIAS),
      returnLse,
      wishes,
    );
    const result: { output: Tensor } & Partial<Extras> = { output: wrap(output) };
    const tensors = scores.map(wrap);
    if (returnScores !== undefined) result.scores = form.scoresOf(tensors.shift()!, undefined);
    if (selection) result.weights = form.scoresOf(tensors.shift()!, selection.rows?.length);
    if (relative) result.output = addRelativeValues(result.output, tensors.shift()!, relative.table);
    if (returnLse) result.lse = wrap(lse);
    return returnLse || selection || returnScores !== undefined ? result : result.output;
  });
}

/** output + weights by distance [N, H, W] · table [W, Dv]: Shaw et al., 2018, equation 3. */
function addRelativeValues(output: Tensor, weights: Tensor, table: Tensor): Tensor {
  const rows = output.shape.length === 4 ? output.transpose(1, 2) : output; // heads inside
  const residual = rows.reshape([...weights.shape.slice(0, 2), -1]);
  const sum = linear(cast(weights, table.dtype), table.transpose(), { residual }).reshape(rows.shape);
  return output.shape.length === 4 ? sum.transpose(1, 2) : sum;
}

function scaleOf(q: Tensor, { scale }: AttentionOptions): number {
  if (scale === undefined) return 1 / Math.sqrt(shapeOf(NAME, 'q', q).at(-1) || 1);
  checkNumber(NAME, 'scale', scale);
  return scale;
}

/** The handle of a tensor [B], 0 for none. */
function offsetsOf(q: Tensor, { queryOffset }: AttentionOptions, sequences: number): number {
  if (queryOffset === undefined) return 0;
  const list = integers(NAME, 'queryOffset', queryOffset, -(2 ** 30));
  if (list instanceof Tensor) return unwrap(NAME, 'queryOffset', list);
  const values = list.length === 1 ? new Int32Array(sequences).fill(list[0]!) : list;
  return unwrap(NAME, 'queryOffset', tensor(values, [values.length], { device: q.device }));
}

function checkIndices(argument: string, list: unknown, limit: number): void {
  if (!Array.isArray(list)) throw typeError(NAME, `returnWeights.${argument}`, 'an array', list);
  (list as unknown[]).forEach((index, at) => {
    checkInteger(NAME, `returnWeights.${argument}[${at}]`, index, 0, limit - 1);
  });
}

/** Undefined: no weights are wanted. */
function checkSelection(q: Tensor, value: boolean | Selection): Selection | undefined {
  if (typeof value === 'boolean') return value ? {} : undefined;
  checkOptions(NAME, value, ['heads', 'rows']);
  if (value.heads !== undefined) checkIndices('heads', value.heads, shapeOf(NAME, 'q', q).at(-3) ?? 0);
  return value;
}
