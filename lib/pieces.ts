import type { TokenNews } from './generation/generate';
import type { GenerationSettings } from './generation/options';
import { StopMatcher } from './generation/stop';
import type { TokenFacts } from './ops/token-report';
import { Detokenizer } from './tokenizer/detokenizer';
import type { Tokenizer } from './tokenizer/tokenizer';

/** Why a sequence ended: its end token, a stop string, the number of tokens, or the time. */
export type FinishReason = 'eos' | 'stop' | 'length' | 'time';

/** What is known of new tokens. */
export interface NewTokens {
  /** Safe text: no half characters, and nothing that may turn out to begin a stop string. */
  text: string;
  /** An end token included. */
  tokens: number[];
  /** Of each token, with the option `logprobs`. */
  logprobs?: TokenFacts[];
  /** Of each token, with the option `returnScores`: what it was chosen by, [V]. */
  scores?: Float32Array[];
}

/** A part of a continued prompt, as it comes. */
export interface Piece extends NewTokens {
  /** Of the prompt, where there are many; of the sequence, where several go on from one. */
  index: number;
  /** Null while the sequence goes on. */
  finishReason: FinishReason | null;
}

/** One sequence on its way from tokens to text. */
export class Row {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #detokenizer: Detokenizer | undefined;
  readonly #stop: StopMatcher;
  readonly #settings: GenerationSettings;
  #steps: number;
  finishReason: FinishReason | null = null;

  constructor(tokenizer: Tokenizer | undefined, settings: GenerationSettings) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = tokenizer && new Detokenizer(tokenizer, { skipSpecialTokens: settings.skipSpecialTokens });
    this.#stop = new StopMatcher(settings.stopStrings);
    this.#settings = settings;
    this.#steps = settings.maxSteps;
  }

  /** Takes tokens until the sequence ends. */
  take({ tokens, facts, scores }: Omit<TokenNews, 'row'>): NewTokens {
    const taken: NewTokens = { text: '', tokens: [] };
    for (const token of tokens) {
      if (this.finishReason !== null) break;
      taken.tokens.push(token);
      taken.text += this.#push(token);
    }
    const { logprobs, returnScores } = this.#settings;
    if (logprobs !== undefined) taken.logprobs = facts.slice(0, taken.tokens.length);
    if (returnScores) taken.scores = scores.slice(0, taken.tokens.length);
    return taken;
  }

  /** @returns the text that is certain now. */
  #push(token: number): string {
    // A model may have more rows than its tokenizer has tokens: such a token has no text.
    const known = this.#tokenizer !== undefined && token < this.#tokenizer.vocabSize;
    let text = this.#stop.push((known && this.#detokenizer?.push(token)) || '');
    this.#steps -= 1;
    const reason = this.#settings.eosTokenIds.includes(token) ? 'eos' : this.#steps === 0 ? 'length' : null;
    if (!this.#stop.stopped && reason !== null) text += this.end(reason);
    if (this.#stop.stopped) this.finishReason = 'stop';
    return text;
  }

  /** No more tokens come, for this reason unless the sequence has ended. @returns the text that was held back. */
  end(reason: FinishReason): string {
    if (this.finishReason !== null) return '';
    const text = this.#stop.push(this.#detokenizer?.flush() ?? '');
    this.finishReason = this.#stop.stopped ? 'stop' : reason;
    return text + this.#stop.flush();
  }
}
