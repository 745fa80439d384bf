import type { GenerationSettings } from './generation/options';
import { StopMatcher } from './generation/stop';
import { Detokenizer } from './tokenizer/detokenizer';
import type { Tokenizer } from './tokenizer/tokenizer';

/** Why a sequence ended: its end token, a stop string, or the number of tokens. */
export type FinishReason = 'eos' | 'stop' | 'length';

/** A part of a continued prompt, as it comes. */
export interface Piece {
  /** Of the prompt, where there are many. */
  index: number;
  text: string;
  tokens: number[];
  /** Null while the sequence goes on. */
  finishReason: FinishReason | null;
}

/** One sequence on its way from tokens to text. */
export class Row {
  readonly #tokenizer: Tokenizer | undefined;
  readonly #detokenizer: Detokenizer | undefined;
  readonly #stop: StopMatcher;
  readonly #ends: readonly number[];
  #steps: number;
  finishReason: FinishReason | null = null;

  constructor(tokenizer: Tokenizer | undefined, settings: GenerationSettings) {
    this.#tokenizer = tokenizer;
    this.#detokenizer = tokenizer && new Detokenizer(tokenizer, { skipSpecialTokens: settings.skipSpecialTokens });
    this.#stop = new StopMatcher(settings.stopStrings);
    this.#ends = settings.eosTokenIds;
    this.#steps = settings.maxSteps;
  }

  /** @returns the text that is certain now. */
  push(token: number): string {
    // A model may have more rows than its tokenizer has tokens: such a token has no text.
    const known = this.#tokenizer !== undefined && token < this.#tokenizer.vocabSize;
    let text = this.#stop.push((known && this.#detokenizer?.push(token)) || '');
    this.#steps -= 1;
    const reason = this.#ends.includes(token) ? 'eos' : this.#steps === 0 ? 'length' : null;
    if (reason !== null && !this.#stop.stopped) text += this.#stop.push(this.#detokenizer?.flush() ?? '');
    if (this.#stop.stopped) this.finishReason = 'stop';
    else if (reason !== null) {
      this.finishReason = reason;
      text += this.#stop.flush();
    }
    return text;
  }

  /** No more tokens come. @returns the text that was held back. */
  end(): string {
    if (this.finishReason !== null) return '';
    const text = this.#stop.push(this.#detokenizer?.flush() ?? '');
    this.finishReason = this.#stop.stopped ? 'stop' : 'length';
    return text + this.#stop.flush();
  }
}

/** What whole steps [steps × rows] of tokens bring to each row. */
export function* piecesOf(rows: readonly Row[], steps: Int32Array): Generator<Piece, void, undefined> {
  for (const [index, row] of rows.entries()) {
    const piece: Piece = { index, text: '', tokens: [], finishReason: null };
    for (let at = index; at < steps.length && row.finishReason === null; at += rows.length) {
      const token = steps[at] as number;
      piece.tokens.push(token);
      piece.text += row.push(token);
      piece.finishReason = row.finishReason;
    }
    if (piece.tokens.length > 0) yield piece;
  }
}

/** The text of a sequence that is there as a whole. */
export function wholeText(
  tokenizer: Tokenizer | undefined,
  tokens: readonly number[],
  settings: GenerationSettings,
): { text: string; tokens: number[]; finishReason: FinishReason } {
  const row = new Row(tokenizer, settings);
  const kept: number[] = [];
  let text = '';
  for (const token of tokens) {
    if (row.finishReason !== null) break;
    kept.push(token);
    text += row.push(token);
  }
  return { text: text + row.end(), tokens: kept, finishReason: row.finishReason ?? 'length' };
}
