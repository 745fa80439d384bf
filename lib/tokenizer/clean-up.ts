/** In this order, each over the whole text (`clean_up_tokenization` of Hugging Face transformers). */
const REPLACEMENTS: readonly (readonly [string, string])[] = [
  [' .', '.'],
  [' ?', '?'],
  [' !', '!'],
  [' ,', ','],
  [" ' ", "'"],
  [" n't", "n't"],
  [" 'm", "'m"],
  [" 's", "'s"],
  [" 've", "'ve"],
  [" 're", "'re"],
];

/** Takes out the spaces that a word-level tokenizer leaves before punctuation and English contractions. */
export function cleanUp(text: string): string {
  return REPLACEMENTS.reduce((cleaned, [from, to]) => cleaned.replaceAll(from, to), text);
}

/**
 * How much of a text can be cleaned up before the rest of it is known:
 * `cleanUp(text + rest) === cleanUp(text.slice(0, n)) + cleanUp(text.slice(n) + rest)` for every `rest`.
 *
 * A replacement takes a space and characters behind it. One that reaches into `rest`, at once or after `" ' "` has
 * become `"'"`, leaves in `text` only a space and some of space, ', n, v, r; so the cut is before the first such space.
 */
export function settledLength(text: string): number {
  const start = text.search(/ [ 'nvr]*$/);
  return start < 0 ? text.length : start;
}
