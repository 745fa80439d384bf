import type { LogitsProcessor } from '../ops/logits-processors';
import { processLogits } from '../ops/process-logits';
import { samplingKeys } from '../ops/sample';
import { tensor, type Tensor } from '../tensor/tensor';
import type { Guidance } from './guidance';
import { int32, keepRows } from './model';
import type { Rows } from './rows';

export interface ScoringSettings {
  processors: readonly LogitsProcessor[];
  warpers: readonly LogitsProcessor[];
  /** Of the random generator: of rows, or of prompts. */
  keys: readonly { seed: number; sequence: number }[] | undefined;
  maxSteps: number;
}

/** What changes from call to call. */
export interface ScoringInput {
  /** [N] int32: rows of the model; default: all. */
  rows?: Tensor | undefined;
  /** [B, G] int32: tokens of earlier groups. */
  groupTokens?: Tensor | undefined;
  /** [R] float32: mirostat's. */
  mu?: Tensor | undefined;
}

/** From logits to the scores that a token is picked by: the processors, and what they look at. */
export class Scoring implements Disposable {
  readonly #chain: readonly LogitsProcessor[];
  #maxLengths: Tensor | undefined;
  #source: { tokens: Tensor; lengths: Tensor } | undefined;
  /** What comes before the processors, if anything. */
  guidance: Guidance | undefined;
  /** [R, 3] int32, or one a prompt; undefined where nothing is drawn. */
  keys: Tensor | undefined;

  /** @param sources what an encoder read, padding included, one a prompt; or the prompts. */
  constructor(
    readonly rows: Rows,
    readonly settings: ScoringSettings,
    sources: readonly Int32Array[],
  ) {
    const { device } = rows.model;
    const { processors, warpers, keys, maxSteps } = settings;
    this.#chain = [...processors, ...warpers];
    this.keys = keys && samplingKeys(keys, device);
    if (!rows.history) return;
    this.#maxLengths = int32(
      device,
      Int32Array.from(rows.given, (padded) => padded.length + maxSteps),
    );
    const longest = Math.max(...sources.map((row) => row.length));
    const tokens = new Int32Array(sources.length * longest);
    sources.forEach((row, b) => {
      tokens.set(row, b * longest);
    });
    this.#source = {
      tokens: tensor(tokens, [sources.length, longest], { device }),
      lengths: int32(
        device,
        Int32Array.from(sources, (row) => row.length),
      ),
    };
  }

  /** Scores [N, V] of logits [R, V], a row for each history; the logits themselves where there is nothing to do. */
  apply(logits: Tensor, input: ScoringInput = {}): Tensor {
    return this.applyChain(this.guidance?.apply(logits) ?? logits, input, this.#chain);
  }

  /** The same of a part of the processors, without guidance. */
  applyChain(logits: Tensor, input: ScoringInput, chain: readonly LogitsProcessor[]): Tensor {
    if (chain.length === 0) return logits;
    const { history, cache } = this.rows;
    return processLogits(logits, chain, {
      ...input,
      ...(history && {
        ...{ history: history.tokens, lengths: history.lengths, promptLengths: history.promptLengths },
        ...{ maxLengths: this.#maxLengths, source: this.#source!.tokens, sourceLengths: this.#source!.lengths },
      }),
      ...(this.keys?.shape[0] === this.rows.count && { keys: this.keys, steps: cache.lengths }),
    });
  }

  /** Only these rows go on: see Rows.keep, which comes after. */
  keep(rows: Int32Array): void {
    const perSource = this.#source ? this.rows.count / this.#source.lengths.shape[0]! : 1;
    if (this.#source) {
      const sources = rows.map((row) => Math.floor(row / perSource));
      const { tokens, lengths } = this.#source;
      this.#source = { tokens: keepRows(tokens, sources), lengths: keepRows(lengths, sources) };
    }
    if (this.#maxLengths) this.#maxLengths = keepRows(this.#maxLengths, rows);
    if (this.keys) this.keys = keepRows(this.keys, rows);
  }

  [Symbol.dispose](): void {
    for (const part of [this.keys, this.#maxLengths, this.#source?.tokens, this.#source?.lengths]) part?.dispose();
  }
}
