import { argmax } from '../ops/argmax';
import { concat } from '../ops/concat';
import { drawTokens, endOfSequence } from '../ops/sample';
import { tokenReport } from '../ops/token-report';
import type { Channel } from '../tensor/program';
import { tensor, type Tensor } from '../tensor/tensor';
import { int32, keepRows } from './model';
import type { Rows } from './rows';
import type { Scoring, ScoringInput } from './scoring';

/** How a step ends: what becomes of the logits. */
export interface Strategy extends Disposable {
  /** int32 numbers that it sends a step. */
  readonly newsWidth: number;
  /** Logits [R, V] → the scores that `pick` picks from. */
  process(logits: Tensor): Tensor;
  /** Queues the end of a step: picks what the rows read next, and sends what it picked. `logits` are as they were. */
  pick(scores: Tensor, logits: Tensor, channel: Channel): void;
}

export interface TokenChoiceSettings {
  eosTokenIds: readonly number[];
  padTokenId: number;
  mirostat: { tau: number; eta: number } | undefined;
  /** Best tokens to tell beside each one; undefined: no log-probabilities. */
  logprobs: number | undefined;
}

/**
 * Greedy search, or sampling where the scoring has keys: each row goes on by itself. Sends the tokens of the rows, then,
 * where log-probabilities are wanted, their reports.
 */
export class TokenChoice implements Strategy {
  #finished: Tensor;
  readonly #ends: Tensor;
  /** [R] float32: of mirostat, twice the surprise that it aims at, to begin with. */
  #mu: Tensor | undefined;

  constructor(
    readonly rows: Rows,
    readonly scoring: Scoring,
    readonly settings: TokenChoiceSettings,
  ) {
    const { device } = rows.model;
    const { mirostat, eosTokenIds } = settings;
    this.#finished = int32(device, new Int32Array(rows.count));
    this.#ends = int32(device, eosTokenIds);
    this.#mu = mirostat && tensor(new Float32Array(rows.count).fill(2 * mirostat.tau), [rows.count], { device });
  }

  /** int32 numbers that are told of each token. */
  get reportWidth(): number {
    const { logprobs } = this.settings;
    return logprobs === undefined ? 0 : 2 + 2 * logprobs;
  }
  get newsWidth(): number {
    return this.rows.count * (1 + this.reportWidth);
  }

  get scoringInput(): ScoringInput {
    return { mu: this.#mu };
  }

  process(logits: Tensor): Tensor {
    return this.scoring.apply(logits, this.scoringInput);
  }

  pick(scores: Tensor, logits: Tensor, channel: Channel): void {
    const { rows, settings, scoring } = this;
    const { padTokenId, mirostat, logprobs } = settings;
    const { keys } = scoring;
    const chosen = keys
      ? drawTokens(scores, keys, rows.cache.lengths, { mirostat: mirostat && { mu: this.#mu!, ...mirostat } }).tokens
      : argmax(scores);
    endOfSequence(chosen, this.#ends, padTokenId, rows.tokens, this.#finished);
    rows.remember(rows.tokens);
    const report = logprobs === undefined ? [] : [tokenReport(logits, chosen, logprobs).reshape([-1])];
    channel.emit(report.length === 0 ? rows.tokens : concat([rows.tokens, ...report]), this.#finished);
  }

  /** Only these rows go on: see Rows.keep. */
  keep(rows: Int32Array): void {
    this.#finished = keepRows(this.#finished, rows);
    if (this.#mu) this.#mu = keepRows(this.#mu, rows);
  }

  [Symbol.dispose](): void {
    for (const part of [this.#finished, this.#ends, this.#mu]) part?.dispose();
  }
}
