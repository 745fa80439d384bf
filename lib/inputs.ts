import { checkInteger, rangeError } from './check';
import type { GenerationInput } from './generation/generate';
import type { PromptRow, StepInput } from './generation/model';
import type { GenerationLimits } from './generation/limits';
import type { GenerationOptions } from './generation/options';
import { Decoder } from './nn/decoder';
import { EncoderDecoder, type Source } from './nn/encoder-decoder';
import { checkRows, resolvePrompt } from './prompt';
import type { Tokenizer } from './tokenizer/tokenizer';

/** What a prompt gives generation to work on. */
export interface Prepared {
  input: GenerationInput;
  limits: GenerationLimits;
  /** Of each row: what it has read, a source not counted. */
  prompts: readonly PromptRow[];
  /** What an encoder reads. */
  sources: readonly PromptRow[] | undefined;
  many: boolean;
}

/**
 * A prompt, as generation takes it: what a decoder goes on from, or what an encoder reads.
 *
 * @throws TypeError, RangeError for what does not fit, for `name`.
 */
export function prepareInput(
  name: string,
  network: Decoder | EncoderDecoder,
  prompt: unknown,
  options: GenerationOptions,
  { tokenizer, startTokenId }: { tokenizer: Tokenizer | undefined; startTokenId: number | undefined },
): Prepared {
  const { vocabSize, contextLength } = network.options;
  const { device, maxPositions } = network;
  const hasSource = network instanceof EncoderDecoder;
  const read = resolvePrompt(name, prompt, tokenizer, hasSource ? network.options.sourceVocabSize : vocabSize);
  const { rows, many } = read;
  const prompts = hasSource ? targetsOf(name, network, options, startTokenId, rows.length) : rows;
  const longest = (of: (row: PromptRow) => Int32Array) => Math.max(...prompts.map((row) => of(row).length));
  const limits = {
    ...{ vocabSize, contextLength, maxPositions, batch: rows.length },
    ...{ promptLength: longest((row) => row.tokens), paddedLength: longest((row) => row.padded) },
  };
  let negatives: PromptRow[] | undefined;
  if (hasSource) {
    checkSources(name, network, rows);
    for (const key of ['guidanceScale', 'negativePrompt'] as const) {
      if (options[key] !== undefined)
        throw new RangeError(`[${name}] ${key} is for decoders: this is an encoder-decoder`);
    }
  } else {
    negatives = negativesOf(name, options, rows, tokenizer, vocabSize);
    for (const key of ['decoderIds', 'decoderStartTokenId'] as const) {
      if (options[key] !== undefined)
        throw new RangeError(`[${name}] ${key} is for encoder-decoders: this is a decoder`);
    }
  }
  const open: GenerationInput['open'] = (rowsPerPrompt) =>
    hasSource ? openSources(network, rows, rowsPerPrompt) : openDecoder(network);
  const input = { device, open, prompts, sources: rows.map((row) => row.padded), negatives };
  return { input, limits, prompts, sources: hasSource ? rows : undefined, many };
}

/** One a prompt: what was given, or the prompt's last token. */
function negativesOf(
  name: string,
  { negativePrompt, guidanceScale = 1 }: GenerationOptions,
  rows: readonly PromptRow[],
  tokenizer: Tokenizer | undefined,
  vocabSize: number,
): PromptRow[] | undefined {
  if (negativePrompt !== undefined && guidanceScale === 1) {
    throw new RangeError(`[${name}] negativePrompt does nothing without guidanceScale above 1`);
  }
  if (guidanceScale === 1) return undefined;
  if (negativePrompt === undefined) {
    return rows.map(({ tokens }) => {
      const last = tokens.subarray(-1);
      return { tokens: last, padded: last, mask: undefined };
    });
  }
  const { rows: negatives, many } = resolvePrompt(`${name}: negativePrompt`, negativePrompt, tokenizer, vocabSize);
  if (many && negatives.length !== rows.length) {
    throw rangeError(name, 'negativePrompt', `one, or ${rows.length}, one a prompt`, negativePrompt);
  }
  return rows.map((_, b) => (many ? negatives[b]! : negatives[0]!));
}

function checkSources(name: string, network: EncoderDecoder, rows: readonly PromptRow[]): void {
  const { maxSourcePositions: most } = network;
  rows.forEach(({ padded }, b) => {
    if (padded.length <= most) return;
    throw new RangeError(`[${name}] source ${b} has ${padded.length} tokens but there are ${most} positions`);
  });
}

/** What targets begin with. The start token goes before ids that lack it, as in the reference. */
function targetsOf(
  name: string,
  { options: { vocabSize, decoderStartTokenId } }: EncoderDecoder,
  options: GenerationOptions,
  folderStart: number | undefined,
  batch: number,
): PromptRow[] {
  const start = options.decoderStartTokenId ?? folderStart ?? decoderStartTokenId;
  checkInteger(name, 'decoderStartTokenId', start, 0, vocabSize - 1);
  const given =
    options.decoderIds === undefined ? undefined : checkRows(name, 'decoderIds', options.decoderIds, vocabSize);
  if (given?.many && given.rows.length !== batch) {
    throw rangeError(name, 'decoderIds', `one row, or ${batch}, one a prompt`, options.decoderIds);
  }
  return Array.from({ length: batch }, (_, b) => {
    const ids = given ? (given.many ? given.rows[b]! : given.rows[0]!) : [];
    const tokens = Int32Array.from(ids[0] === start ? ids : [start, ...ids]);
    return { tokens, padded: tokens, mask: undefined };
  });
}

function openDecoder(decoder: Decoder) {
  return {
    device: decoder.device,
    createCache: decoder.createCache.bind(decoder),
    forward: decoder.forward.bind(decoder),
    [Symbol.dispose]: () => undefined, // it is the model's
  };
}

/** Reads the sources: once, whatever goes on from them. */
function openSources(network: EncoderDecoder, rows: readonly PromptRow[], rowsPerPrompt: number) {
  const source = network.encode({
    ids: rows.map(({ padded }) => padded),
    mask: rows.map(({ mask, padded }) => mask ?? new Int32Array(padded.length).fill(1)),
  });
  let current = source;
  /** Others in its place, in the same memory. */
  const replace = (next: Source) => {
    current[Symbol.dispose]();
    current = next;
  };
  if (rowsPerPrompt > 1) replace(source.repeat(rowsPerPrompt));
  return {
    device: network.device,
    createCache: (batch: number, capacity: number) => network.decoder(current).createCache(batch, capacity),
    forward: (input: StepInput) => network.decoder(current).forward(input),
    keep(places: Int32Array) {
      replace(current.pick(places));
    },
    [Symbol.dispose]() {
      current[Symbol.dispose]();
    },
  };
}
