import { checkBoolean, checkInteger, checkNumber, checkOptions, rangeError, typeError } from '../check';
import type { EarlyStopping } from '../ops/beam';
import type { LogitsProcessor } from '../ops/logits-processors';
import type { Word } from './constraints';
import { stepsOf, type GenerationLimits } from './limits';
import { ASKS_FOR_SAMPLING, checkMode, isFor, modeOf, type Mode } from './modes';
import { PROCESSOR_OPTIONS, processorsOf, type ProcessorOptions, type ProcessorOrder } from './processors';

/**
 * A user's own processor: changes `scores` [V] in place. `tokens` are the sequence's so far, prompt included; `row` is
 * that of the prompts (of beams: their rows, side by side).
 */
export type UserProcessor = (scores: Float32Array, tokens: Int32Array, row: number) => void;

/** Tokens that may come next, by a prompt's row and the tokens of the sequence so far. */
export type AllowedTokens = (row: number, tokens: Int32Array) => readonly number[];

type Ids = readonly number[] | Int32Array;

/** How to continue a prompt: docs/generation.md. Defaults come from the folder's generation_config.json, then from here. */
export interface GenerationOptions extends ProcessorOptions {
  /** Tokens to add at most. Default: what the context has room for. */
  maxNewTokens?: number | undefined;
  /** The same, prompt counted; maxNewTokens goes first. */
  maxLength?: number | undefined;
  /** Seconds after which no step begins. Default: none. */
  maxTime?: number | undefined;
  /** Token, or tokens, that end a sequence; null: none. */
  eosTokenId?: number | readonly number[] | null | undefined;
  /** What rows that have ended are filled with. Default: the first end token, or 0. */
  padTokenId?: number | undefined;
  /** Texts that end a sequence; they are not part of the result. */
  stopStrings?: string | readonly string[] | undefined;

  /** Sample (true) or take the best token (false). Default: sample if an option of sampling is given. */
  doSample?: boolean | undefined;
  /** Makes sampling repeatable; one for all rows, or one a row. Default: random. */
  seed?: number | readonly number[] | undefined;
  /** Beams of beam search; 1: none. Default 1. */
  numBeams?: number | undefined;
  /** Groups of beams that must differ (Vijayakumar et al., 2018). Default 1. */
  numBeamGroups?: number | undefined;
  /** A beam's score is its sum of log-probabilities over its length to the power of this. Default 1. */
  lengthPenalty?: number | undefined;
  /** Beam search ends: true, when there are numBeams hypotheses; false, when no beam looks better; 'never', when none can be. Default false. */
  earlyStopping?: EarlyStopping | undefined;
  /** Contrastive search (Su et al., 2022) among the topK best tokens: how much a token is to differ, in (0, 1]. */
  penaltyAlpha?: number | undefined;
  /** Words, or lists of which one is enough, that beam search must bring in. */
  forceWordsIds?: readonly (readonly number[] | readonly (readonly number[])[])[] | undefined;
  /** Continuations to return for each prompt. Default 1. */
  numReturnSequences?: number | undefined;
  /** Sample so many, return those with the best mean log-probability. Default: numReturnSequences. */
  bestOf?: number | undefined;

  /** In which order processors are applied. Default 'hf', the reference's. */
  order?: ProcessorOrder | undefined;
  /** Your own processors, behind the others and before those that shape sampling. Each step then waits for JavaScript. */
  logitsProcessor?: UserProcessor | readonly UserProcessor[] | undefined;
  /** Restricts what may come next. Each step then waits for JavaScript. */
  prefixAllowedTokensFn?: AllowedTokens | undefined;
  /** Classifier-free guidance (Sanchez et al., 2023): above 1, logits go away from those without the prompt. Default 1. */
  guidanceScale?: number | undefined;
  /** What guidance goes away from, as text or token ids. Default: the prompt's last token. */
  negativePrompt?: string | Ids | readonly string[] | readonly Ids[] | undefined;

  /** Encoder-decoders: what the target begins with, start token included; one row for all, or one a row. */
  decoderIds?: Ids | readonly Ids[] | undefined;
  /** Encoder-decoders: the token before all. Default: the model's. */
  decoderStartTokenId?: number | undefined;

  /** Leave special tokens (begin, end, padding) out of the text. Default true. */
  skipSpecialTokens?: boolean | undefined;
  /** Give ln p of each token, of the model's own distribution, with its entropy and so many of the best tokens. */
  logprobs?: number | undefined;
  /** Give the scores that each token was chosen by. Each step then waits for JavaScript. Default false. */
  returnScores?: boolean | undefined;
  /** Inner tensors of the whole sequence, prompt included, by path: see forward(). */
  capture?: readonly string[] | undefined;
  /** Prompts are read in pieces of so many tokens a row. Default: whole. */
  prefillChunkSize?: number | undefined;
  /** Ends generation: the call rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/** All of them. */
export const GENERATION_OPTIONS: readonly (keyof GenerationOptions)[] = [
  ...(['maxNewTokens', 'maxLength', 'maxTime', 'eosTokenId', 'padTokenId', 'stopStrings', 'doSample', 'seed'] as const),
  ...(['numBeams', 'numBeamGroups', 'lengthPenalty', 'earlyStopping', 'penaltyAlpha', 'forceWordsIds'] as const),
  ...(['numReturnSequences', 'bestOf', 'order', 'logitsProcessor', 'prefixAllowedTokensFn', 'guidanceScale'] as const),
  ...(['negativePrompt', 'decoderIds', 'decoderStartTokenId', 'skipSpecialTokens', 'logprobs'] as const),
  ...(['returnScores', 'capture', 'prefillChunkSize', 'signal'] as const),
  ...PROCESSOR_OPTIONS,
];

/** Options checked and complete. */
export interface GenerationSettings {
  mode: Mode;
  /** Steps to run at most. */
  maxSteps: number;
  /** Milliseconds after which no step begins. */
  maxTime: number;
  eosTokenIds: readonly number[];
  padTokenId: number;
  stopStrings: readonly string[];
  /** Rows of the model that go on from one prompt. */
  rowsPerPrompt: number;
  /** Sequences that come of one prompt. */
  numSequences: number;
  numReturnSequences: number;
  numBeams: number;
  numBeamGroups: number;
  lengthPenalty: number;
  earlyStopping: EarlyStopping;
  forceWords: readonly Word[];
  contrastive: { alpha: number; topK: number };
  /** Keys of the random generator: of rows, or of prompts where beams are sampled; undefined where nothing is drawn. */
  keys: readonly { seed: number; sequence: number }[] | undefined;
  /** Applied in this order, users' own between the two. */
  processors: readonly LogitsProcessor[];
  warpers: readonly LogitsProcessor[];
  mirostat: { tau: number; eta: number } | undefined;
  userProcessors: readonly UserProcessor[];
  allowedTokens: AllowedTokens | undefined;
  guidanceScale: number;
  skipSpecialTokens: boolean;
  /** Best tokens to tell beside each one; undefined: no log-probabilities. */
  logprobs: number | undefined;
  /** The caller asked for them. */
  wantsLogprobs: boolean;
  returnScores: boolean;
  capture: readonly string[];
  prefillChunkSize: number;
  signal: AbortSignal | undefined;
  /** See LoopSettings. */
  keepsCache?: boolean | undefined;
}

const count =
  (low: number, high?: number) =>
  (name: string, key: string, value: unknown): void => {
    checkInteger(name, key, value, low, high);
  };
const functionOf = (name: string, key: string, value: unknown): void => {
  if (typeof value !== 'function') throw typeError(name, key, 'a function', value);
};

/** What values may be, of the options that are not looked at elsewhere. */
const CHECKS: Partial<Record<keyof GenerationOptions, (name: string, key: string, value: unknown) => void>> = {
  doSample: checkBoolean,
  skipSpecialTokens: checkBoolean,
  returnScores: checkBoolean,
  maxNewTokens: count(1),
  maxLength: count(1),
  numBeams: count(1, 1024),
  numBeamGroups: count(1, 1024),
  numReturnSequences: count(1, 1024),
  bestOf: count(1, 1024),
  logprobs: count(0, 1024),
  prefillChunkSize: count(1),
  lengthPenalty: checkNumber,
  earlyStopping: (name, key, value) => {
    if (typeof value !== 'boolean' && value !== 'never') throw typeError(name, key, "true, false or 'never'", value);
  },
  maxTime: (name, key, value) => {
    checkNumber(name, key, value);
    if (value <= 0) throw rangeError(name, key, 'above 0', value);
  },
  penaltyAlpha: (name, key, value) => {
    checkNumber(name, key, value);
    if (value < 0 || value > 1) throw rangeError(name, key, 'in [0, 1]', value);
  },
  guidanceScale: (name, key, value) => {
    checkNumber(name, key, value);
    if (value < 1) throw rangeError(name, key, 'at least 1', value);
  },
  prefixAllowedTokensFn: functionOf,
  logitsProcessor: (name, key, value) => {
    if (!Array.isArray(value)) functionOf(name, key, value);
    else for (const [i, one] of (value as unknown[]).entries()) functionOf(name, `${key}[${i}]`, one);
  },
  signal: (name, key, value) => {
    if (!(value instanceof AbortSignal)) throw typeError(name, key, 'an AbortSignal', value);
  },
};

/** @throws TypeError, RangeError for a value that no mode takes; `nameOf` names options. */
export function checkValues(
  name: string,
  options: GenerationOptions,
  nameOf: (key: string) => string = (key) => key,
): void {
  for (const [key, check] of Object.entries(CHECKS)) {
    const value = options[key as keyof GenerationOptions];
    if (value !== undefined) check(name, nameOf(key), value);
  }
  // Values of processors are looked at where they are made.
  processorsOf(pick(options, PROCESSOR_OPTIONS), { name, order: options.order, eosTokenIds: [0] });
}

const pick = (options: GenerationOptions, keys: readonly (keyof ProcessorOptions)[]): ProcessorOptions =>
  Object.fromEntries(keys.filter((key) => options[key] !== undefined).map((key) => [key, options[key]]));

/** @throws TypeError, RangeError naming the option, for `name`. */
export function resolveOptions(
  name: string,
  given: GenerationOptions,
  defaults: GenerationOptions,
  limits: GenerationLimits,
): GenerationSettings {
  checkOptions(name, given, GENERATION_OPTIONS);
  checkValues(name, given);
  const { options, mode } = withDefaults(name, given, defaults);
  const eosTokenIds = tokenIds(name, 'eosTokenId', options.eosTokenId ?? [], limits.vocabSize);
  const padTokenId = options.padTokenId === undefined ? (eosTokenIds[0] ?? 0) : options.padTokenId;
  checkInteger(name, 'padTokenId', padTokenId, 0, limits.vocabSize - 1);
  const { numBeams = 1, numBeamGroups = 1, numReturnSequences = 1, bestOf = numReturnSequences } = options;
  const rowsPerPrompt = numBeams > 1 ? numBeams : mode === 'contrastive' ? options.topK! : bestOf;
  const draws = mode === 'sampling' || mode === 'beamSampling';
  return {
    mode,
    maxSteps: stepsOf(name, given, defaults, limits),
    maxTime: options.maxTime === undefined ? Infinity : 1000 * options.maxTime,
    eosTokenIds,
    padTokenId,
    stopStrings: stopStringsOf(name, options.stopStrings),
    rowsPerPrompt,
    numSequences: mode === 'sampling' ? bestOf : 1,
    ...{ numReturnSequences, numBeams, numBeamGroups },
    lengthPenalty: options.lengthPenalty ?? 1,
    earlyStopping: options.earlyStopping ?? false,
    forceWords: forceWordsOf(name, options.forceWordsIds ?? [], limits.vocabSize),
    contrastive: { alpha: options.penaltyAlpha ?? 0, topK: options.topK ?? 0 },
    keys: draws ? keysOf(name, options.seed, limits.batch, mode === 'sampling' ? bestOf : 1) : undefined,
    ...chainsOf(name, mode, options, eosTokenIds, limits),
    mirostat: options.mirostat
      ? { tau: options.mirostatTau ?? MIROSTAT.tau, eta: options.mirostatEta ?? MIROSTAT.eta }
      : undefined,
    userProcessors: options.logitsProcessor === undefined ? [] : [options.logitsProcessor].flat(),
    allowedTokens: options.prefixAllowedTokensFn,
    guidanceScale: options.guidanceScale ?? 1,
    skipSpecialTokens: options.skipSpecialTokens ?? true,
    logprobs: options.logprobs ?? (bestOf > numReturnSequences ? 0 : undefined),
    wantsLogprobs: options.logprobs !== undefined,
    capture: options.capture ?? [],
    returnScores: options.returnScores ?? false,
    prefillChunkSize: options.prefillChunkSize ?? limits.promptLength,
    signal: options.signal,
  };
}

const MIROSTAT = { tau: 5, eta: 0.1 };

/**
 * What is given counts over the folder's defaults, of which those that do nothing in the mode are left out; a choice
 * given one way drops the default of the other way.
 */
function withDefaults(
  name: string,
  given: GenerationOptions,
  defaults: GenerationOptions,
): { options: GenerationOptions; mode: Mode } {
  const options: GenerationOptions = { ...defaults };
  if (given.maxLength !== undefined && given.maxNewTokens === undefined) delete options.maxNewTokens;
  for (const key of GENERATION_OPTIONS) if (given[key] !== undefined) Object.assign(options, { [key]: given[key] });
  const contrasts = given.penaltyAlpha !== undefined && given.penaltyAlpha > 0;
  const asks = ASKS_FOR_SAMPLING.some((key) => given[key] !== undefined) || (given.topK !== undefined && !contrasts);
  if (given.doSample === undefined && (asks || contrasts)) options.doSample = asks;
  const mode = modeOf(options);
  checkMode(name, mode, given, options);
  for (const key of GENERATION_OPTIONS) {
    if (given[key] === undefined && !isFor(mode, key, options[key])) delete options[key]; // eslint-disable-line @typescript-eslint/no-dynamic-delete
  }
  return { options, mode };
}

/** Chains of processors: those that act on all, and those that shape sampling. */
function chainsOf(
  name: string,
  mode: Mode,
  options: GenerationOptions,
  eosTokenIds: readonly number[],
  { vocabSize }: GenerationLimits,
): { processors: readonly LogitsProcessor[]; warpers: readonly LogitsProcessor[] } {
  const minTokensToKeep = mode === 'beamSampling' ? Math.max(2, eosTokenIds.length + 1) : 1;
  const context = { name, order: options.order, eosTokenIds, minTokensToKeep };
  const shaping = (key: keyof ProcessorOptions) => ASKS_FOR_SAMPLING.includes(key) || key === 'topK';
  if (mode === 'contrastive') checkInteger(name, 'topK', options.topK, 2, vocabSize);
  const others = PROCESSOR_OPTIONS.filter((key) => !shaping(key));
  // With an order of others, and nobody in between, there is but one chain.
  if (options.order !== undefined && options.order !== 'hf') {
    return { processors: [], warpers: processorsOf(pick(options, PROCESSOR_OPTIONS), context) };
  }
  const { renormalizeLogits, ...processors } = pick(options, others);
  const warpers = mode === 'contrastive' ? {} : pick(options, PROCESSOR_OPTIONS.filter(shaping));
  return {
    processors: processorsOf(processors, context),
    warpers: processorsOf({ ...warpers, renormalizeLogits }, context),
  };
}

function tokenIds(name: string, key: string, value: unknown, vocabSize: number): number[] {
  const ids = Array.isArray(value) ? (value as unknown[]) : [value];
  return ids.map((id, index) => {
    checkInteger(name, Array.isArray(value) ? `${key}[${index}]` : key, id, 0, vocabSize - 1);
    return id;
  });
}

/** Each word as the list of its alternatives. */
function forceWordsOf(name: string, words: unknown, vocabSize: number): (readonly number[])[][] {
  const key = 'forceWordsIds';
  const list = (argument: string, value: unknown): unknown[] => {
    if (!Array.isArray(value)) throw typeError(name, argument, 'an array', value);
    if (value.length === 0) throw rangeError(name, argument, 'not empty', value);
    return value as unknown[];
  };
  if (!Array.isArray(words)) throw typeError(name, key, 'an array of words', words);
  return (words as unknown[]).map((word, i) => {
    const items = list(`${key}[${i}]`, word);
    if (!items.some(Array.isArray)) return [tokenIds(name, `${key}[${i}]`, items, vocabSize)];
    const lists = items.map((one, j) =>
      tokenIds(name, `${key}[${i}][${j}]`, list(`${key}[${i}][${j}]`, one), vocabSize),
    );
    const begins = (a: number[], b: number[]) => a !== b && a.length <= b.length && a.every((id, at) => b[at] === id);
    if (lists.some((a) => lists.some((b) => begins(a, b)))) {
      throw rangeError(name, `${key}[${i}]`, 'lists of which none begins another', items);
    }
    return lists;
  });
}

/** Keys of `perPrompt` rows for each prompt. */
function keysOf(name: string, seed: unknown, batch: number, perPrompt: number): { seed: number; sequence: number }[] {
  const rows = Array.from({ length: batch * perPrompt }, (_, row) => row);
  if (Array.isArray(seed)) {
    const seeds = seed as unknown[];
    if (seeds.length !== batch) throw rangeError(name, 'seed', `a number, or ${batch}, one a prompt`, seed);
    seeds.forEach((one, b) => {
      checkInteger(name, `seed[${b}]`, one, 0);
    });
    return rows.map((row) => ({ seed: seeds[Math.floor(row / perPrompt)] as number, sequence: row % perPrompt }));
  }
  if (seed !== undefined) checkInteger(name, 'seed', seed, 0);
  const same = seed ?? Math.floor(Math.random() * 2 ** 47);
  return rows.map((sequence) => ({ seed: same, sequence }));
}

function stopStringsOf(name: string, value: unknown): string[] {
  const strings = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
  return strings.map((text, index) => {
    if (typeof text !== 'string') throw typeError(name, `stopStrings[${index}]`, 'a string', text);
    if (text === '') throw rangeError(name, `stopStrings[${index}]`, 'not empty', text);
    return text;
  });
}
