import type { FinishReason, NewTokens, Piece } from './pieces';
import type { TokenFacts } from './ops/token-report';
import type { Tensor } from './tensor/tensor';

/** Tokens read and written. */
export interface Usage {
  /** Of a source, too, where there is an encoder. */
  readonly promptTokens: number;
  readonly newTokens: number;
}

/** Of the whole call, in milliseconds. */
export interface Timing {
  /** Until the first token was there. */
  readonly firstToken: number;
  readonly total: number;
}

/** A continued prompt. Equal results are equal objects: usage and timing are told beside them. */
export class Generated implements NewTokens {
  /** The new text; empty for a model without a tokenizer. */
  text = '';
  /** The new tokens, an end token included. */
  tokens: number[] = [];
  finishReason: FinishReason = 'length';
  /** Of beam search: the sum of log-probabilities over length ^ lengthPenalty. */
  declare score?: number;
  /** Of each token, with the option `logprobs`. */
  declare logprobs?: TokenFacts[];
  /** Of each token, with the option `returnScores`: what it was chosen by, [V]. */
  declare scores?: Float32Array[];
  /** With the option `capture`: by path, of the whole sequence, as forward() gives them. They are yours to dispose of. */
  declare captured?: Readonly<Record<string, Tensor>>;
  readonly #promptTokens: number;
  #timing: Timing = { firstToken: 0, total: 0 };

  /** Not for users: see Model.generate. */
  constructor(promptTokens: number) {
    this.#promptTokens = promptTokens;
  }

  get usage(): Usage {
    return { promptTokens: this.#promptTokens, newTokens: this.tokens.length };
  }
  get timing(): Timing {
    return this.#timing;
  }

  /** For the library: more of it. */
  add({ text, tokens, logprobs, scores, finishReason }: Omit<Piece, 'index'>): void {
    this.text += text;
    this.tokens.push(...tokens);
    if (logprobs) (this.logprobs ??= []).push(...logprobs);
    if (scores) (this.scores ??= []).push(...scores);
    if (finishReason !== null) this.finishReason = finishReason;
  }

  /** For the library: that was all. */
  end(timing: Timing): void {
    this.#timing = timing;
  }
}
