/** How far one word, or one of several, has been said: see ConstraintProgress. */
interface Progress {
  readonly said: readonly number[];
  readonly word: Word;
}

/** A word that must come, as lists of tokens of which one is enough. */
export type Word = readonly (readonly number[])[];

/** Tokens that may follow what was said of a word. */
function nextTokens({ said, word }: Progress): number[] {
  const open = word.filter((list) => list.length > said.length && said.every((token, i) => list[i] === token));
  return [...new Set(open.map((list) => list[said.length]!))];
}

const longest = (word: Word): number => Math.max(...word.map((list) => list.length));

/**
 * How much of the words a sequence has said: as `ConstraintListState` of transformers 4.44.2 counts it. One word is in
 * progress at a time; a token that does not go on with it sends it back, from its beginning, among those that wait.
 */
export class ConstraintProgress {
  #waiting: Progress[];
  #current: Progress | undefined;
  #complete = 0;

  constructor(readonly words: readonly Word[]) {
    this.#waiting = words.map((word) => ({ said: [], word }));
  }

  /** That of a sequence of tokens. */
  static of(words: readonly Word[], tokens: Iterable<number>): ConstraintProgress {
    const progress = new ConstraintProgress(words);
    for (const token of tokens) {
      if (progress.completed) break;
      progress.add(token);
    }
    return progress;
  }

  get completed(): boolean {
    return this.#complete === this.words.length;
  }

  /** Grows with every token that was of use. */
  get bank(): number {
    const unit = Math.max(...this.words.map(longest));
    const current = this.#current;
    return this.#complete * unit + (current ? unit - (longest(current.word) - current.said.length) : 0);
  }

  /** Tokens of use. */
  next(): number[] {
    return this.#current ? nextTokens(this.#current) : this.#waiting.flatMap(nextTokens);
  }

  add(token: number): void {
    const current = this.#current;
    if (current) {
      if (nextTokens(current).includes(token)) this.#goOn(current, token);
      else {
        this.#current = undefined;
        this.#waiting.push({ said: [], word: current.word });
      }
      return;
    }
    const at = this.#waiting.findIndex((one) => nextTokens(one).includes(token));
    if (at >= 0) this.#goOn(this.#waiting.splice(at, 1)[0]!, token);
  }

  /** What it would be with one token more. */
  with(token: number): ConstraintProgress {
    const copy = new ConstraintProgress(this.words);
    copy.#waiting = [...this.#waiting];
    copy.#current = this.#current;
    copy.#complete = this.#complete;
    copy.add(token);
    return copy;
  }

  #goOn({ said, word }: Progress, token: number): void {
    const now = [...said, token];
    const whole = word.some((list) => list.length === now.length && list.every((one, i) => one === now[i]));
    this.#current = whole ? undefined : { said: now, word };
    if (whole) this.#complete += 1;
  }
}
