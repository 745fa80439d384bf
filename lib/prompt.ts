import { types } from 'node:util';
import { checkInteger, checkOptions, rangeError, show, typeError } from './check';
import type { PromptRow } from './generation/model';
import type { Tokenizer } from './tokenizer/tokenizer';

/** Token ids of one row. */
export type Ids = readonly number[] | Int32Array;

/** Text, or token ids with an optional mask (1: a token, 0: padding). */
export type OnePrompt = string | Ids | { ids: Ids; mask?: Ids | undefined };
export type ManyPrompts =
  readonly string[] | readonly Ids[] | { ids: readonly Ids[]; mask?: readonly Ids[] | undefined };
export type Prompt = OnePrompt | ManyPrompts | { ids: Ids | readonly Ids[]; mask?: Ids | readonly Ids[] | undefined };

const isRow = (value: unknown): value is Ids =>
  types.isInt32Array(value) || (Array.isArray(value) && value.every((item) => typeof item === 'number'));

/** One row or many, as rows; whether it was many. */
function rowsOf(name: string, argument: string, value: unknown): { rows: readonly Ids[]; many: boolean } {
  if (isRow(value) && !(Array.isArray(value) && value.length === 0)) return { rows: [value], many: false };
  if (!Array.isArray(value))
    throw typeError(name, argument, 'token ids: an array, an Int32Array, or rows of them', value);
  if (value.length === 0) throw rangeError(name, argument, 'not empty', value);
  value.forEach((row, index) => {
    if (!isRow(row)) throw typeError(name, `${argument}[${index}]`, 'an array of numbers or an Int32Array', row);
  });
  return { rows: value as Ids[], many: true };
}

/** Rows of whole numbers in [0, limit). */
export function checkRows(name: string, argument: string, value: unknown, limit: number) {
  const { rows, many } = rowsOf(name, argument, value);
  rows.forEach((row, b) => {
    // Prompts are long: the name of an item is made only for one that is wrong.
    const wrong = row.findIndex((item) => !Number.isInteger(item) || item < 0 || item >= limit);
    if (wrong >= 0) checkInteger(name, `${argument}${many ? `[${b}]` : ''}[${wrong}]`, row[wrong], 0, limit - 1);
  });
  return { rows, many };
}

/** A mask for rows of ids: of the same shape, 0 and 1; all 1 where absent. `argument` and `of` are their names. */
export function checkMask(
  name: string,
  mask: unknown,
  rows: readonly Ids[],
  argument = 'mask',
  of = 'ids',
): readonly Ids[] {
  if (mask === undefined) return rows.map((row) => new Int32Array(row.length).fill(1));
  const masks = checkRows(name, argument, mask, 2).rows;
  if (masks.length !== rows.length || masks.some((row, b) => row.length !== rows[b]?.length)) {
    throw rangeError(
      name,
      argument,
      `of the shape of ${of} (rows of ${rows.map((row) => row.length).join(', ')})`,
      mask,
    );
  }
  return masks;
}

/** Prompts in rows; whether the caller gave many. */
export function resolvePrompt(
  name: string,
  prompt: unknown,
  tokenizer: Tokenizer | undefined,
  vocabSize: number,
): { rows: PromptRow[]; many: boolean } {
  const { rows, many } = readPrompt(name, prompt, tokenizer, vocabSize);
  rows.forEach(({ tokens }, b) => {
    if (tokens.length === 0)
      throw new RangeError(`[${name}] prompt${many ? `[${b}]` : ''} has no tokens: ${show(prompt)}`);
  });
  return { rows, many };
}

function readPrompt(name: string, prompt: unknown, tokenizer: Tokenizer | undefined, vocabSize: number) {
  const texts = typeof prompt === 'string' ? [prompt] : prompt;
  if (Array.isArray(texts) && texts.length > 0 && texts.every((text) => typeof text === 'string')) {
    if (!tokenizer) throw new TypeError(`[${name}] this model has no tokenizer: give token ids instead of text`);
    const rows = texts.map((text) => Int32Array.from(tokenizer.encode(text)));
    checkRows(name, 'tokens of prompt', rows, vocabSize);
    return { rows: rows.map((tokens) => ({ tokens, padded: tokens, mask: undefined })), many: prompt === texts };
  }
  const masked = typeof prompt === 'object' && prompt !== null && 'ids' in prompt;
  if (masked) checkOptions(name, prompt, ['ids', 'mask']);
  const { ids, mask } = masked ? (prompt as { ids: unknown; mask?: unknown }) : { ids: prompt, mask: undefined };
  const { rows, many } = checkRows(name, masked ? 'prompt.ids' : 'prompt', ids, vocabSize);
  const masks = checkMask(name, mask, rows);
  return {
    many,
    rows: rows.map((row, b) => {
      const padded = Int32Array.from(row);
      const own = Int32Array.from(masks[b]!);
      return own.includes(0)
        ? { padded, mask: own, tokens: padded.filter((_, i) => own[i] !== 0) }
        : { padded, mask: undefined, tokens: padded };
    }),
  };
}
