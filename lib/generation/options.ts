import { randomInt } from 'node:crypto';
import { checkBoolean, checkInteger, checkOptions, rangeError, typeError } from '../tensor/check';
import { checkSampling, type SamplingOptions } from '../ops/sample';

/** How to continue a prompt. Defaults come from the folder's generation_config.json, then from here. */
export interface GenerationOptions extends SamplingOptions {
  /** Tokens to add at most. Default: what the context has room for. */
  maxNewTokens?: number;
  /** The same, prompt counted; maxNewTokens goes first. */
  maxLength?: number;
  /** Token, or tokens, that end a sequence; null: none. */
  eosTokenId?: number | readonly number[] | null;
  /** What rows that have ended are filled with. Default: the first end token, or 0. */
  padTokenId?: number;
  /** Sample (true) or take the best token (false). Default: sample if an option of sampling is given. */
  doSample?: boolean;
  /** Makes sampling repeatable; one for all rows, or one a row. Default: random. */
  seed?: number | readonly number[];
  /** Texts that end a sequence; they are not part of the result. */
  stopStrings?: string | readonly string[];
  /** Leave special tokens (begin, end, padding) out of the text. Default true. */
  skipSpecialTokens?: boolean;
  /** Prompts are read in pieces of so many tokens a row. Default: whole. */
  prefillChunkSize?: number;
  /** Ends generation: the call rejects with the signal's reason. */
  signal?: AbortSignal;
}

const NAMES = [
  'temperature',
  'topK',
  'topP',
  'maxNewTokens',
  'maxLength',
  'eosTokenId',
  'padTokenId',
  'doSample',
  'seed',
  'stopStrings',
  'skipSpecialTokens',
  'prefillChunkSize',
  'signal',
] as const satisfies (keyof GenerationOptions)[];

/** Options checked and complete. */
export interface GenerationSettings {
  /** Steps to run at most. */
  maxSteps: number;
  eosTokenIds: readonly number[];
  padTokenId: number;
  /** Undefined: take the best token. */
  sampling: Required<SamplingOptions> | undefined;
  /** Keys of the random generator, one a row. */
  rows: readonly { seed: number; sequence: number }[];
  stopStrings: readonly string[];
  skipSpecialTokens: boolean;
  prefillChunkSize: number;
  signal: AbortSignal | undefined;
}

export interface GenerationLimits {
  vocabSize: number;
  /** Tokens that the model was made for. */
  contextLength: number;
  /** Tokens that a sequence can have. */
  maxPositions: number;
  batch: number;
  /** Of the longest prompt. */
  promptLength: number;
}

/** @throws TypeError, RangeError naming the option, for `name`. */
export function resolveOptions(
  name: string,
  given: GenerationOptions,
  defaults: GenerationOptions,
  limits: GenerationLimits,
): GenerationSettings {
  checkOptions(name, given, NAMES);
  const options = withDefaults(given, defaults);
  const eosTokenIds = tokenIds(name, options.eosTokenId ?? [], limits.vocabSize);
  const padTokenId = options.padTokenId ?? eosTokenIds[0] ?? 0;
  checkInteger(name, 'padTokenId', padTokenId, 0, limits.vocabSize - 1);
  const { prefillChunkSize = limits.promptLength, skipSpecialTokens = true, signal } = options;
  checkBoolean(name, 'skipSpecialTokens', skipSpecialTokens);
  checkInteger(name, 'prefillChunkSize', prefillChunkSize, 1);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError(name, 'signal', 'an AbortSignal', signal);
  }
  return {
    maxSteps: stepsOf(name, options, limits),
    eosTokenIds,
    padTokenId,
    sampling: samplingOf(name, options),
    rows: seedsOf(name, options.seed, limits.batch),
    stopStrings: stopStringsOf(name, options.stopStrings),
    skipSpecialTokens,
    prefillChunkSize,
    signal,
  };
}

/** What is given counts over the folder's defaults; a choice given one way drops the default of the other way. */
function withDefaults(given: GenerationOptions, defaults: GenerationOptions): GenerationOptions {
  const options: GenerationOptions = { ...defaults };
  if (given.maxLength !== undefined && given.maxNewTokens === undefined) delete options.maxNewTokens;
  if (given.doSample === false) dropSampling(options);
  for (const key of NAMES) if (given[key] !== undefined) Object.assign(options, { [key]: given[key] });
  const samples = [given.temperature, given.topK, given.topP, given.seed].some((value) => value !== undefined);
  if (given.doSample === undefined && samples) options.doSample = true;
  return options;
}

function dropSampling(options: GenerationOptions): void {
  delete options.temperature;
  delete options.topK;
  delete options.topP;
}

function tokenIds(name: string, value: unknown, vocabSize: number): number[] {
  const ids = Array.isArray(value) ? (value as unknown[]) : [value];
  return ids.map((id, index) => {
    checkInteger(name, Array.isArray(value) ? `eosTokenId[${index}]` : 'eosTokenId', id, 0, vocabSize - 1);
    return id;
  });
}

function stepsOf(name: string, options: GenerationOptions, limits: GenerationLimits): number {
  const { contextLength, maxPositions, promptLength } = limits;
  const { maxNewTokens, maxLength } = options;
  if (maxNewTokens !== undefined) checkInteger(name, 'maxNewTokens', maxNewTokens, 1);
  if (maxLength !== undefined) checkInteger(name, 'maxLength', maxLength, 1);
  if (maxNewTokens === undefined && maxLength !== undefined && maxLength <= promptLength) {
    throw rangeError(name, 'maxLength', `above the ${promptLength} tokens of the prompt`, maxLength);
  }
  const steps = maxNewTokens ?? (maxLength ?? contextLength) - promptLength;
  if (steps < 1 || promptLength + steps > maxPositions) {
    throw new RangeError(
      `[${name}] a prompt of ${promptLength} tokens and ${Math.max(steps, 1)} new ones do not fit the context of ` +
        `${contextLength} tokens`,
    );
  }
  return steps;
}

function samplingOf(name: string, options: GenerationOptions): Required<SamplingOptions> | undefined {
  const { doSample = false, temperature = 1, topK = 0, topP = 1, seed } = options;
  checkBoolean(name, 'doSample', doSample);
  const sampling = { temperature, topK, topP };
  checkSampling(name, sampling);
  if (doSample) return sampling;
  if (
    options.temperature !== undefined ||
    options.topK !== undefined ||
    options.topP !== undefined ||
    seed !== undefined
  ) {
    throw new RangeError(`[${name}] temperature, topK, topP and seed do nothing with doSample false`);
  }
  return undefined;
}

function seedsOf(name: string, seed: unknown, batch: number): { seed: number; sequence: number }[] {
  if (Array.isArray(seed)) {
    if (seed.length !== batch) throw rangeError(name, 'seed', `one a row (${batch})`, seed);
    return (seed as unknown[]).map((one, index) => {
      checkInteger(name, `seed[${index}]`, one, 0);
      return { seed: one, sequence: 0 };
    });
  }
  const one = seed ?? randomInt(2 ** 48 - 1);
  checkInteger(name, 'seed', one, 0);
  return Array.from({ length: batch }, (_, sequence) => ({ seed: one, sequence }));
}

function stopStringsOf(name: string, value: unknown): string[] {
  const strings = value === undefined ? [] : Array.isArray(value) ? (value as unknown[]) : [value];
  return strings.map((text, index) => {
    if (typeof text !== 'string') throw typeError(name, `stopStrings[${index}]`, 'a string', text);
    if (text === '') throw rangeError(name, `stopStrings[${index}]`, 'not empty', text);
    return text;
  });
}

/** Keys of generation_config.json (and, for the ids, config.json) that are options here. */
export function readDefaults(
  ...configs: readonly (Readonly<Record<string, unknown>> | undefined)[]
): GenerationOptions {
  const options: GenerationOptions = {};
  const keys = {
    max_new_tokens: 'maxNewTokens',
    max_length: 'maxLength',
    eos_token_id: 'eosTokenId',
    pad_token_id: 'padTokenId',
    do_sample: 'doSample',
    temperature: 'temperature',
    top_k: 'topK',
    top_p: 'topP',
    prefill_chunk_size: 'prefillChunkSize',
  } as const;
  for (const config of configs) {
    for (const [key, option] of Object.entries(keys)) {
      const value = config?.[key];
      if (value !== undefined && value !== null) Object.assign(options, { [option]: value });
    }
  }
  // The reference ignores the settings of sampling where it does not sample.
  if (options.doSample !== true) dropSampling(options);
  return options;
}
