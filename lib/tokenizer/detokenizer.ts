import { checkBoolean, checkOptions, typeError } from '../check';
import { cleanUp, settledLength } from './clean-up';
import { Tokenizer, type DecodeOptions } from './tokenizer';

/**
 * Decodes a sequence token by token: the pieces that `push` and `flush` return, joined, are `tokenizer.decode` of all
 * the ids. A piece never ends in half a character; what the next token may still change is held back.
 *
 * What a token adds to a text depends on few others: on those before it whose bytes began its first character, and, by
 * a space, on whether it is the first or the last one. So each step decodes only the tokens since the last complete
 * character, behind that character's token and an anchor: a token of one visible character, in the place of all that
 * came before. This keeps what decoders do to the first token, and to leading spaces, at the start of the text. A step
 * therefore costs the same however long the text is, except in a run of broken characters or, with clean-up, of spaces.
 *
 * That covers the decoders byte-level, WordPiece, Metaspace, BPE, byte fallback, Replace within a token, Fuse, and Strip
 * at the start. Not covered are those that rewrite the joined text, of which pieces may already be out: CTC with
 * `cleanup`, Replace after Fuse, Strip at the end after Fuse. The clean-up of tokenizer_config.json is exact, see
 * settledLength.
 */
export class Detokenizer {
  readonly #tokenizer: Tokenizer;
  readonly #skipSpecialTokens: boolean;
  #window: number[] = [];
  /** Characters of the decoded window that have been returned. */
  #told = 0;
  /** Text that has been decoded but waits for its clean-up. */
  #pending = '';

  /** @throws TypeError for what is no tokenizer, and for other options. */
  constructor(tokenizer: Tokenizer, options: DecodeOptions = {}) {
    if (!(tokenizer instanceof Tokenizer)) throw typeError('Detokenizer', 'tokenizer', 'a Tokenizer', tokenizer);
    checkOptions('Detokenizer', options, ['skipSpecialTokens']);
    const { skipSpecialTokens = true } = options;
    checkBoolean('Detokenizer', 'skipSpecialTokens', skipSpecialTokens);
    this.#tokenizer = tokenizer;
    this.#skipSpecialTokens = skipSpecialTokens;
  }

  /** @returns the text that is certain now and was not before; often empty. */
  push(id: number): string {
    this.#tokenizer.checkId('[Detokenizer.push] id', id);
    if (this.#skipSpecialTokens && this.#tokenizer.isSpecial(id)) return '';
    this.#window.push(id);
    const text = this.#decodeWindow();
    // Bytes that may yet become a character show as one U+FFFD at the end.
    const end = text.endsWith('\uFFFD') ? text.length - 1 : text.length;
    if (end <= this.#told) return '';
    this.#pending += text.slice(this.#told, end);
    this.#told = end;
    if (end === text.length) {
      this.#window = [...anchorOf(this.#tokenizer), id];
      this.#told = this.#decodeWindow().length;
    }
    return this.#take(this.#tokenizer.cleansUp ? settledLength(this.#pending) : this.#pending.length);
  }

  /** Ends the text: returns what was held back, and makes the detokenizer ready for another text. */
  flush(): string {
    this.#pending += this.#decodeWindow().slice(this.#told);
    this.#window = [];
    this.#told = 0;
    return this.#take(this.#pending.length);
  }

  #decodeWindow(): string {
    return this.#tokenizer.decodeTokens(this.#window, this.#skipSpecialTokens);
  }

  #take(length: number): string {
    const text = this.#pending.slice(0, length);
    this.#pending = this.#pending.slice(length);
    return this.#tokenizer.cleansUp ? cleanUp(text) : text;
  }
}

const anchors = new WeakMap<Tokenizer, readonly number[]>();

/** The first token that is one visible ASCII character; none in a vocabulary without such a token. */
function anchorOf(tokenizer: Tokenizer): readonly number[] {
  let anchor = anchors.get(tokenizer);
  if (anchor === undefined) {
    const ids = Array.from({ length: tokenizer.vocabSize }, (_, id) => id);
    const found = ids.find((id) => !tokenizer.isSpecial(id) && /^[!-~]$/.test(tokenizer.decodeTokens([id], false)));
    anchor = found === undefined ? [] : [found];
    anchors.set(tokenizer, anchor);
  }
  return anchor;
}
