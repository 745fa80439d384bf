/** Watches a text that comes in pieces for stop strings, and holds back what may turn out to begin one. */
export class StopMatcher {
  #held = '';
  #stopped = false;

  constructor(readonly stopStrings: readonly string[]) {}

  get stopped(): boolean {
    return this.#stopped;
  }

  /** @returns the text that is certain to come before any stop string. */
  push(piece: string): string {
    if (this.#stopped) return '';
    const text = this.#held + piece;
    const starts = this.stopStrings.map((stop) => text.indexOf(stop)).filter((start) => start >= 0);
    this.#stopped = starts.length > 0;
    const end = this.#stopped ? Math.min(...starts) : text.length - this.#suffixLength(text);
    this.#held = this.#stopped ? '' : text.slice(end);
    return text.slice(0, end);
  }

  /** The text has ended: what was held back. */
  flush(): string {
    const text = this.#held;
    this.#held = '';
    return text;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #suffixLength(text: string): number {
    const longest = Math.max(0, ...this.stopStrings.map((stop) => stop.length - 1));
    for (let length = Math.min(longest, text.length); length > 0; --length) {
      const suffix = text.slice(-length);
      if (this.stopStrings.some((stop) => stop.startsWith(suffix))) return length;
    }
    return 0;
  }
}
