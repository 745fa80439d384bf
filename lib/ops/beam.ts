import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/** What a problem of beam search holds between steps: see the native BeamStep. */
export interface BeamState {
  /** [P, K] float32: sums of log-probabilities of the running beams. */
  readonly sums: Tensor;
  /** [P, K, 4] int32: a float64 score's halves, the step at which a hypothesis ended, the row that it ended. */
  readonly hypotheses: Tensor;
  /** [P] int32: hypotheses held. */
  readonly counts: Tensor;
  /** [P] int32 */
  readonly done: Tensor;
  /** [1] int32: steps done. */
  readonly steps: Tensor;
}

export type EarlyStopping = boolean | 'never';

export interface BeamStepOptions {
  /** [R] int32 each, written: what each row reads next, and which row it goes on from. */
  tokens: Tensor;
  sources: Tensor;
  /** [E] int32 */
  ends: Tensor;
  padTokenId: number;
  rowsPerProblem: number;
  firstRow: number;
  earlyStopping: EarlyStopping;
  lengthPenalty: number;
  maxSteps: number;
}

/**
 * For decoding loops: a step of beam search, in place.
 *
 * @param scores [P, K · V] float32: sums of log-probabilities, the candidate token's included.
 * @param candidates [P, C] int32: entries of a row of scores.
 */
export function beamStep(scores: Tensor, candidates: Tensor, state: BeamState, options: BeamStepOptions): void {
  const name = 'beamStep';
  const { rowsPerProblem, firstRow, padTokenId, earlyStopping, lengthPenalty, maxSteps } = options;
  native.beamStep(
    unwrap(name, 'scores', scores),
    unwrap(name, 'candidates', candidates),
    unwrap(name, 'ends', options.ends),
    unwrap(name, 'sums', state.sums),
    unwrap(name, 'hypotheses', state.hypotheses),
    unwrap(name, 'counts', state.counts),
    unwrap(name, 'done', state.done),
    unwrap(name, 'steps', state.steps),
    unwrap(name, 'tokens', options.tokens),
    unwrap(name, 'sources', options.sources),
    rowsPerProblem,
    firstRow,
    padTokenId,
    earlyStopping === 'never' ? 2 : Number(earlyStopping),
    lengthPenalty,
    maxSteps,
  );
}

/**
 * For decoding loops: x [B, V] float32 with Gumbel noise, so that its k largest are k draws without replacement from
 * softmax(x) (Kool et al., 2019). Keys [B, 3] as those of sampling; step [1] int32.
 */
export function gumbelNoise(x: Tensor, keys: Tensor, step: Tensor): Tensor {
  const name = 'gumbelNoise';
  return wrap(native.gumbelNoise(unwrap(name, 'x', x), unwrap(name, 'keys', keys), unwrap(name, 'step', step)));
}

/** For decoding loops: x [R, C] int32 becomes x[sources], in place; sources are within groups of rows. */
export function reorderRows(sources: Tensor, group: number, x: Tensor): void {
  native.reorderRows(unwrap('reorderRows', 'sources', sources), group, unwrap('reorderRows', 'x', x));
}

/** For decoding loops: writes tokens [R] behind the `lengths` [R] of a history [R, L], in place. All int32. */
export function appendTokens(tokens: Tensor, history: Tensor, lengths: Tensor): void {
  native.appendTokens(
    unwrap('appendTokens', 'tokens', tokens),
    unwrap('appendTokens', 'history', history),
    unwrap('appendTokens', 'lengths', lengths),
  );
}
