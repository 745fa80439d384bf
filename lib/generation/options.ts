import { randomInt } from 'node:crypto';
import { checkBoolean, checkInteger, checkOptions, rangeError, typeError } from '../check';
import type { EarlyStopping } from '../ops/beam';
import { checkSampling, type SamplingOptions } from '../ops/sample';

/** How to continue a prompt. Defaults come from the folder's generation_config.json, then from here. */
export interface GenerationOptions extends SamplingOptions {
  /** Tokens to add at most. Default: what the context has room for. */
  maxNewTokens?: number | undefined;
  /** The same, prompt counted; maxNewTokens goes first. */
  maxLength?: number | undefined;
  /** Token, or tokens, that end a sequence; null: none. */
  eosTokenId?: number | readonly number[] | null | undefined;
  /** What rows that have ended are filled with. Default: the first end token, or 0. */
  padTokenId?: number | undefined;
  /** Sample (true) or take the best token (false). Default: sample if an option of sampling is given. */
  doSample?: boolean | undefined;
  /** Beams of beam search; 1: none. Default 1. */
  numBeams?: number | undefined;
  /** Groups of beams that must differ (Vijayakumar et al., 2018). Default 1. */
  numBeamGroups?: number | undefined;
  /** Continuations to return for each prompt. Default 1. */
  numReturnSequences?: number | undefined;
  /** A beam's score is its sum of log-probabilities over its length to the power of this. Default 1. */
  lengthPenalty?: number | undefined;
  /** When beam search ends. Default false. */
  earlyStopping?: boolean | 'never' | undefined;
  /** Makes sampling repeatable; one for all rows, or one a row. Default: random. */
  seed?: number | readonly number[] | undefined;
  /** Texts that end a sequence; they are not part of the result. */
  stopStrings?: string | readonly string[] | undefined;
  /** Leave special tokens (begin, end, padding) out of the text. Default true. */
  skipSpecialTokens?: boolean | undefined;
  /** Prompts are read in pieces of so many tokens a row. Default: whole. */
  prefillChunkSize?: number | undefined;
  /** Ends generation: the call rejects with the signal's reason. */
  signal?: AbortSignal | undefined;
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
  'numBeams',
  'numBeamGroups',
  'numReturnSequences',
  'lengthPenalty',
  'earlyStopping',
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
  keys: readonly { seed: number; sequence: number }[];
  numBeams: number;
  numBeamGroups: number;
  numReturnSequences: number;
  lengthPenalty: number;
  earlyStopping: EarlyStopping;
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
  const padTokenId = options.padTokenId === undefined ? (eosTokenIds[0] ?? 0) : options.padTokenId;
  checkInteger(name, 'padTokenId', padTokenId, 0, limits.vocabSize - 1);
  const { prefillChunkSize = limits.promptLength, skipSpecialTokens = true, signal } = options;
  checkBoolean(name, 'skipSpecialTokens', skipSpecialTokens);
  checkInteger(name, 'prefillChunkSize', prefillChunkSize, 1);
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw typeError(name, 'signal', 'an AbortSignal', signal);
  }
  return {
    maxSteps: stepsOf(name, given, defaults, limits),
    eosTokenIds,
    padTokenId,
    sampling: samplingOf(name, options),
    ...{
      numBeams: options.numBeams ?? 1,
      numBeamGroups: options.numBeamGroups ?? 1,
      numReturnSequences: options.numReturnSequences ?? 1,
      lengthPenalty: options.lengthPenalty ?? 1,
      earlyStopping: options.earlyStopping ?? false,
    },
    keys: seedsOf(name, options.seed, limits.batch),
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

/** Limits that the caller gives must fit; the folder's, and the context's, are cut to what there is room for. */
function stepsOf(
  name: string,
  given: GenerationOptions,
  defaults: GenerationOptions,
  limits: GenerationLimits,
): number {
  const { contextLength, maxPositions, promptLength } = limits;
  const { maxNewTokens, maxLength } = given;
  // The last token needs no position of its own.
  const room = maxPositions - promptLength + 1;
  if (room < 1) {
    throw new RangeError(
      `[${name}] a prompt of ${promptLength} tokens does not fit the context of ${maxPositions} tokens`,
    );
  }
  if (maxLength !== undefined) checkInteger(name, 'maxLength', maxLength, 1);
  if (maxNewTokens !== undefined) {
    checkInteger(name, 'maxNewTokens', maxNewTokens, 1);
    if (maxNewTokens > room) {
      throw rangeError(
        name,
        'maxNewTokens',
        `at most ${room}: the room that the prompt leaves in the context`,
        maxNewTokens,
      );
    }
    return maxNewTokens;
  }
  if (maxLength !== undefined) {
    if (maxLength <= promptLength || maxLength - promptLength > room) {
      const most = promptLength + room;
      throw rangeError(name, 'maxLength', `above the ${promptLength} tokens of the prompt, at most ${most}`, maxLength);
    }
    return maxLength - promptLength;
  }
  const left = Math.max(1, contextLength - promptLength);
  const ofFolder = defaults.maxNewTokens ?? (defaults.maxLength ?? 0) - promptLength;
  return Math.min(ofFolder > 0 ? ofFolder : left, room);
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
  const one = seed === undefined ? randomInt(2 ** 48 - 1) : seed;
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

/** What a folder's files say of generation: values that are options here, and names of active ones that are not. */
export interface FolderDefaults {
  options: GenerationOptions;
  unsupported: string[];
}

/** Keys that change what is generated, with the values that leave it alone; heddle does not have them (yet). */
const NEUTRAL: Record<string, readonly unknown[]> = {
  num_beams: [1],
  num_beam_groups: [1],
  num_return_sequences: [1],
  penalty_alpha: [0],
  repetition_penalty: [1],
  encoder_repetition_penalty: [1],
  no_repeat_ngram_size: [0],
  encoder_no_repeat_ngram_size: [0],
  min_length: [0],
  min_new_tokens: [0],
  min_p: [0],
  typical_p: [1],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  bad_words_ids: [],
  suppress_tokens: [],
  begin_suppress_tokens: [],
  forced_bos_token_id: [],
  forced_eos_token_id: [],
  sequence_bias: [],
  exponential_decay_length_penalty: [],
  guidance_scale: [1],
};

/**
 * Defaults from config.json (its token ids) and generation_config.json.
 *
 * @throws RangeError naming the key of a wrong value. Ids outside the vocabulary, which some files have, are left out:
 *   such a token never comes.
 */
export function readDefaults(
  config: Readonly<Record<string, unknown>>,
  generation: Readonly<Record<string, unknown>> = {},
  vocabSize: number,
): FolderDefaults {
  const name = 'loadModel';
  const ids = (key: string): number[] | undefined => {
    const value = generation[key] ?? config[key] ?? undefined;
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? (value as unknown[]) : [value];
    list.forEach((id) => {
      checkInteger(name, key, id, -1);
    });
    return (list as number[]).filter((id) => id >= 0 && id < vocabSize);
  };
  const read = <T>(key: string, check: (value: unknown) => asserts value is T): T | undefined => {
    const value = generation[key] ?? undefined;
    if (value === undefined) return undefined;
    check(value);
    return value;
  };
  const count =
    (key: string) =>
    (value: unknown): asserts value is number => {
      checkInteger(name, `generation_config.json: ${key}`, value, 1);
    };
  const options: GenerationOptions = {
    eosTokenId: ids('eos_token_id'),
    padTokenId: ids('pad_token_id')?.[0],
    maxNewTokens: read('max_new_tokens', count('max_new_tokens')),
    maxLength: read('max_length', count('max_length')),
    prefillChunkSize: read('prefill_chunk_size', count('prefill_chunk_size')),
  };
  // The reference ignores the settings of sampling where it does not sample.
  if (generation.do_sample === true) {
    const { temperature, top_k: topK, top_p: topP } = generation as Record<string, number | null | undefined>;
    const sampling = { temperature: temperature ?? 1, topK: topK ?? 0, topP: topP ?? 1 };
    checkSampling(`${name}] [generation_config.json`, sampling);
    Object.assign(options, { doSample: true }, sampling);
  }
  const unsupported = Object.entries(NEUTRAL)
    .filter(([key, neutral]) => (generation[key] ?? undefined) !== undefined && !neutral.includes(generation[key]))
    .map(([key]) => key);
  return { options: dropUndefined(options), unsupported };
}

function dropUndefined(options: GenerationOptions): GenerationOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}
