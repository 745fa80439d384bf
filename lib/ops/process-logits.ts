import { native, type ProcessorHandles } from '../native';
import { checkOptions } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';
import { LogitsProcessor } from './logits-processors';

/** What processors may read of their sequences, on the device of the logits. What no processor needs may be absent. */
export interface ProcessorState {
  /** [N] int32: which row of the logits, and which sequence, each row of the result is. Default: all R in order. */
  rows?: Tensor | undefined;
  /** [R, L] int32: the tokens of each sequence so far, all that was given and all that was generated. */
  history?: Tensor | undefined;
  /** [R] int32: how many these are. */
  lengths?: Tensor | undefined;
  /** [R] int32: how many of these were given. */
  promptLengths?: Tensor | undefined;
  /** [R] int32: how many there can be. */
  maxLengths?: Tensor | undefined;
  /** [S, M] int32: tokens that an encoder read; sequence r belongs to source r / (R / S). */
  source?: Tensor | undefined;
  /** [S] int32 */
  sourceLengths?: Tensor | undefined;
  /** [B, G] int32: what groups of beams before chose in this step; row i of the result belongs to i / (N / B). */
  groupTokens?: Tensor | undefined;
  /** [R, 3] int32: seed (low half, high half) and number of each sequence, for what draws. */
  keys?: Tensor | undefined;
  /** [R] int32: which draw of its sequence this is. */
  steps?: Tensor | undefined;
  /** [R] float32: mirostat's, in bits. */
  mu?: Tensor | undefined;
}

const STATE = [
  ...(['history', 'lengths', 'promptLengths', 'maxLengths', 'source', 'sourceLengths', 'groupTokens'] as const),
  ...(['keys', 'steps', 'mu'] as const),
] as const satisfies (keyof ProcessorState)[];

/**
 * Applies a chain of processors, in order, to each row of logits.
 *
 * @param logits [R, V] float32; `cast` others.
 * @param chain made by `logitsProcessors`, or of generation's options by `processorsOf`; an empty one copies.
 * @returns [N, V] float32: scores. A row with NaN, or without a finite maximum, is left as it is by what needs its
 *   softmax or its ranks.
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, for tokens outside the vocabulary and for a
 *   processor that lacks what it needs. A row or a length out of range is a RangeError when the result is read.
 */
export function processLogits(logits: Tensor, chain: readonly LogitsProcessor[], state: ProcessorState = {}): Tensor {
  const name = 'processLogits';
  const code = LogitsProcessor.lower(name, chain);
  checkOptions(name, state, ['rows', ...STATE]);
  const handles = STATE.map((key) => unwrapOptional(name, key, state[key])) as ProcessorHandles;
  return wrap(
    native.processLogits(unwrap(name, 'logits', logits), code, unwrapOptional(name, 'rows', state.rows), ...handles),
  );
}
