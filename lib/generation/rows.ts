import { appendTokens, reorderRows } from '../ops/beam';
import type { KVCache } from '../ops/kv-cache';
import { tensor, type Tensor } from '../tensor/tensor';
import { cumulative, int32, keepRows, type DecoderModel, type PromptRow } from './model';

/** What processors look back on. */
export interface History {
  /** [R, L] int32: prompt, as the caller gave it, and what was added. */
  readonly tokens: Tensor;
  /** [R] int32: tokens held. */
  readonly lengths: Tensor;
  /** [R] int32: of these, the prompt's. */
  readonly promptLengths: Tensor;
}

export interface RowsOptions {
  maxSteps: number;
  /** What processors look back on: that of every row, one a prompt where its rows always have the same, or nothing. */
  histories: 'rows' | 'prompts' | 'none';
  /** Tokens of each prompt whose keys are there. Default 0. */
  held?: number | undefined;
}

/** The rows of a model that continue B prompts, `perPrompt` each, side by side: what stays on the device between steps. */
export class Rows implements Disposable {
  cache: KVCache;
  /** [R] int32: the tokens that the next step reads. */
  tokens: Tensor;
  /** [R + 1] int32: of a step of one token a row. */
  single: Tensor;
  /** Undefined where nobody looks back. */
  history: History | undefined;
  /** Tokens of each prompt whose keys are there from the beginning. */
  readonly held: number;
  /** Sequences of a prompt that have a history. */
  readonly historiesPerPrompt: number;

  constructor(
    readonly model: DecoderModel,
    readonly prompts: readonly PromptRow[],
    readonly perPrompt: number,
    { maxSteps, histories, held = 0 }: RowsOptions,
  ) {
    const { device } = model;
    const count = (this.count = prompts.length * perPrompt);
    const longest = Math.max(...prompts.map(({ tokens }) => tokens.length));
    this.cache = model.createCache(count, longest + maxSteps);
    this.tokens = int32(device, new Int32Array(count));
    this.single = int32(device, cumulative(new Array<number>(count).fill(1)));
    this.held = held;
    this.historiesPerPrompt = histories === 'prompts' ? 1 : perPrompt;
    this.history = histories === 'none' ? undefined : this.#startHistory(maxSteps);
  }

  /** R */
  count: number;

  /** Of each history: the prompt as it was given. */
  get given(): Int32Array[] {
    return this.prompts.flatMap(({ padded }) => new Array<Int32Array>(this.historiesPerPrompt).fill(padded));
  }

  #startHistory(maxSteps: number): History {
    const { device } = this.model;
    const { given } = this;
    const capacity = Math.max(...given.map((padded) => padded.length)) + maxSteps;
    const tokens = new Int32Array(given.length * capacity);
    given.forEach((padded, row) => {
      tokens.set(padded, row * capacity);
    });
    const lengths = given.map((padded) => padded.length);
    return {
      tokens: tensor(tokens, [given.length, capacity], { device }),
      lengths: int32(device, lengths),
      promptLengths: int32(device, lengths),
    };
  }

  /** Adds the tokens that were chosen, one a history. */
  remember(tokens: Tensor): void {
    if (this.history) appendTokens(tokens, this.history.tokens, this.history.lengths);
  }

  /** Rows go on from others of the same prompt: sources [R] int32. */
  reorder(sources: Tensor): void {
    this.cache.reorder(sources, this.perPrompt);
    if (this.history && this.historiesPerPrompt > 1) reorderRows(sources, this.perPrompt, this.history.tokens);
  }

  /** Only these rows go on: what is theirs moves up. Rows of a prompt need not be side by side any more. */
  keep(rows: Int32Array): void {
    const { cache, history, model } = this;
    this.count = rows.length;
    this.cache = cache.pick(rows);
    cache.dispose();
    this.tokens = keepRows(this.tokens, rows);
    this.single.dispose();
    this.single = int32(model.device, cumulative(new Array<number>(rows.length).fill(1)));
    if (!history) return;
    this.history = {
      tokens: keepRows(history.tokens, rows),
      lengths: keepRows(history.lengths, rows),
      promptLengths: keepRows(history.promptLengths, rows),
    };
  }

  /** After the prompts were read, by the first row of each: all rows of a prompt hold it. */
  spread(): void {
    if (this.perPrompt === 1) return;
    using sources = int32(
      this.model.device,
      Int32Array.from({ length: this.count }, (_, row) => row - (row % this.perPrompt)),
    );
    this.cache.reorder(sources, this.perPrompt);
  }

  [Symbol.dispose](): void {
    const { history } = this;
    for (const part of [this.cache, this.tokens, this.single]) part.dispose();
    if (history) for (const part of [history.tokens, history.lengths, history.promptLengths]) part.dispose();
  }
}
