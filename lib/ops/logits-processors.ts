import { checkBoolean, checkInteger, checkNumber, checkOptions, rangeError, typeError } from '../check';

/** Kinds of processors, in the order of the native ProcessorKind. */
const KINDS = [
  ...(['logSoftmax', 'bias', 'repetitionPenalty', 'encoderRepetitionPenalty', 'frequencyPenalty'] as const),
  ...(['hammingDiversity', 'noRepeatNgram', 'encoderNoRepeatNgram', 'dry', 'minLength', 'minNewTokens'] as const),
  ...(['forcedBos', 'forcedEos', 'suppress', 'beginSuppress', 'removeInvalid', 'exponentialDecay'] as const),
  ...(['temperature', 'dynamicTemperature', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'] as const),
  ...(['topNSigma', 'xtc', 'mirostat'] as const),
] as const;
type Kind = (typeof KINDS)[number];

const MAX_INT32 = 2 ** 31 - 1;
/** Longer lists would not fit a message, let alone a vocabulary. */
const MAX_WORDS = 2 ** 24;

/**
 * One step on the way from logits to the scores that a token is chosen by: a value, made by `logitsProcessors` and
 * applied, in a chain of them, by `processLogits`.
 */
export class LogitsProcessor {
  private constructor(
    readonly kind: Kind,
    private readonly words: readonly number[],
  ) {}

  /** For the library: see `logitsProcessors`. */
  static of(kind: Kind, words: readonly number[] = []): LogitsProcessor {
    if (words.length > MAX_WORDS) throw rangeError(nameOf(kind), 'the lists', `of at most ${MAX_WORDS} words`, words);
    return new LogitsProcessor(kind, words);
  }

  /** For the library: the code of a chain. */
  static lower(name: string, chain: unknown): Int32Array {
    if (!Array.isArray(chain)) throw typeError(name, 'chain', 'an array of processors', chain);
    const pieces = (chain as unknown[]).map((one, index) => {
      if (!(one instanceof LogitsProcessor)) throw typeError(name, `chain[${index}]`, 'a LogitsProcessor', one);
      return one;
    });
    const code = new Int32Array(pieces.reduce((words, one) => words + 2 + one.words.length, 0));
    let at = 0;
    for (const { kind, words } of pieces) {
      code.set([KINDS.indexOf(kind), words.length], at);
      code.set(words, at + 2);
      at += 2 + words.length;
    }
    return code;
  }
}

const nameOf = (kind: Kind): string => `logitsProcessors.${kind}`;

/** Numbers as the native code has them. */
const real = (value: number): number => new Int32Array(Float32Array.of(value).buffer)[0] ?? 0;
const wide = (value: number): Int32Array => new Int32Array(Float64Array.of(value).buffer);

// ---- Checks, which name the function and the argument

/** A number of which `holds`, as float32 too. */
export function checkReal(
  name: string,
  argument: string,
  value: unknown,
  wanted: string,
  holds: (value: number) => boolean,
): asserts value is number {
  checkNumber(name, argument, value);
  const rounded = Math.fround(value);
  if (!holds(value) || !holds(rounded) || !Number.isFinite(rounded)) throw rangeError(name, argument, wanted, value);
}

/** In (0, ∞). */
export function checkPositive(name: string, argument: string, value: unknown): asserts value is number {
  checkReal(name, argument, value, 'above 0', (x) => x > 0);
}
/** In [low, high]. */
export function checkWithin(
  name: string,
  argument: string,
  value: unknown,
  low: number,
  high: number,
): asserts value is number {
  checkReal(name, argument, value, `in [${low}, ${high}]`, (x) => x >= low && x <= high);
}
/** In (0, 1]. */
export function checkMass(name: string, argument: string, value: unknown): asserts value is number {
  checkReal(name, argument, value, 'in (0, 1]', (x) => x > 0 && x <= 1);
}
export function checkCount(name: string, argument: string, value: unknown, low = 0): asserts value is number {
  checkInteger(name, argument, value, low, MAX_INT32);
}
/** A list of tokens, each once. */
export function checkTokens(name: string, argument: string, value: unknown): number[] {
  const ids = value instanceof Int32Array ? [...value] : value;
  if (!Array.isArray(ids)) throw typeError(name, argument, 'an array of token ids', value);
  for (const [index, id] of (ids as unknown[]).entries()) checkCount(name, `${argument}[${index}]`, id);
  return [...new Set(ids as number[])];
}

/** A sequence of tokens, and what is added to the score of its last one where the others have just been said. */
export type TokenBias = readonly [ids: readonly number[], bias: number];

/** Of equal sequences the last counts; -Infinity bans. */
function biasWords(name: string, argument: string, biases: readonly TokenBias[]): number[] {
  if (!Array.isArray(biases)) throw typeError(name, argument, 'an array of pairs', biases);
  const bySequence = new Map<string, TokenBias>();
  for (const [index, pair] of (biases as readonly unknown[]).entries()) {
    const at = `${argument}[${index}]`;
    if (!Array.isArray(pair) || pair.length !== 2) throw typeError(name, at, 'a pair [ids, bias]', pair);
    const [ids, bias] = pair as unknown[];
    if (!Array.isArray(ids) || ids.length === 0) throw typeError(name, `${at}[0]`, 'a list of token ids', ids);
    for (const [i, id] of (ids as unknown[]).entries()) checkCount(name, `${at}[0][${i}]`, id);
    if (bias !== -Infinity) checkReal(name, `${at}[1]`, bias, 'a finite number or -Infinity', () => true);
    bySequence.set((ids as number[]).join(), [ids as number[], bias]);
  }
  const groups = new Map<number, TokenBias[]>();
  // Single tokens first, as in the reference: sums of floats have an order.
  const inOrder = [...bySequence.values()].sort(([a], [b]) => Number(a.length > 1) - Number(b.length > 1));
  for (const pair of inOrder) {
    const last = pair[0].at(-1) ?? 0;
    groups.set(last, [...(groups.get(last) ?? []), pair]);
  }
  const words = [groups.size, ...Array<number>(groups.size).fill(0)];
  for (const [g, [token, pairs]] of [...groups].entries()) {
    words[1 + g] = words.length;
    words.push(token, pairs.length);
    for (const [ids, bias] of pairs) words.push(real(bias), ids.length - 1, ...ids.slice(0, -1));
  }
  return words;
}

export interface FrequencyPenaltyOptions {
  /** For each time that a token was said. Default 0. */
  frequency?: number | undefined;
  /** Once, if it was said at all. Default 0. */
  presence?: number | undefined;
  /** Only the last tokens count; 0: all. Default 0. */
  lastN?: number | undefined;
  /** Tokens of the prompt do not count. Default true. */
  generatedOnly?: boolean | undefined;
}

export interface DryOptions {
  /** Of the penalty; 0: none. */
  multiplier: number;
  /** Of the power. Default 1.75. */
  base?: number | undefined;
  /** Repetitions shorter than this cost nothing. Default 2. */
  allowedLength?: number | undefined;
  /** Only the last tokens count; 0: all. Default 0. */
  lastN?: number | undefined;
  /** Tokens that no repetition goes beyond. */
  sequenceBreakers?: readonly number[] | undefined;
}

/** The options of a kind, of which there are no others. */
function optionsOf<T extends object>(kind: Kind, options: T, known: readonly (keyof T & string)[]): T {
  checkOptions(nameOf(kind), options, known);
  return options ?? {};
}

const keepWord = (kind: Kind, options: Keep): number => {
  const { minTokensToKeep = 1 } = optionsOf(kind, options, ['minTokensToKeep']);
  checkCount(nameOf(kind), 'minTokensToKeep', minTokensToKeep, 1);
  return minTokensToKeep;
};

/**
 * The processors. Scores are x, p = softmax(x); a token that is dropped has -∞. `history` is what a sequence has so far,
 * its prompt included. The formulas and their sources stand in native/ops/process_logits.h; what transformers 4.44.2
 * has, is as it has it. Each throws TypeError or RangeError naming the argument.
 */
export const logitsProcessors = {
  /** x - logsumexp(x): for beams, and to renormalize what others have changed. */
  logSoftmax: () => LogitsProcessor.of('logSoftmax'),
  /** Adds to the last tokens of sequences that would be completed; -Infinity bans them. Needs history for longer ones. */
  bias: (biases: readonly TokenBias[]) => LogitsProcessor.of('bias', biasWords(nameOf('bias'), 'biases', biases)),
  /** x · penalty where x < 0 else x / penalty, for tokens of the history, or its last n (Keskar et al., 2019). */
  repetitionPenalty: (penalty: number, options: { lastN?: number | undefined } = {}) => {
    const { lastN = 0 } = optionsOf('repetitionPenalty', options, ['lastN']);
    checkPositive(nameOf('repetitionPenalty'), 'penalty', penalty);
    checkCount(nameOf('repetitionPenalty'), 'lastN', lastN);
    return LogitsProcessor.of('repetitionPenalty', [real(penalty), lastN]);
  },
  /** The same with 1 / penalty for tokens of the source, which get likelier for a penalty above 1. */
  encoderRepetitionPenalty: (penalty: number) => {
    checkPositive(nameOf('encoderRepetitionPenalty'), 'penalty', penalty);
    return LogitsProcessor.of('encoderRepetitionPenalty', [real(1 / penalty)]);
  },
  /** x - frequency · times - presence · (times > 0), by how often a token was said (OpenAI, vLLM). */
  frequencyPenalty: (options: FrequencyPenaltyOptions) => {
    const name = nameOf('frequencyPenalty');
    const known = ['frequency', 'presence', 'lastN', 'generatedOnly'] as const;
    const {
      frequency = 0,
      presence = 0,
      lastN = 0,
      generatedOnly = true,
    } = optionsOf('frequencyPenalty', options, known);
    checkReal(name, 'frequency', frequency, 'a finite number', () => true);
    checkReal(name, 'presence', presence, 'a finite number', () => true);
    checkCount(name, 'lastN', lastN);
    checkBoolean(name, 'generatedOnly', generatedOnly);
    return LogitsProcessor.of('frequencyPenalty', [real(frequency), real(presence), lastN, Number(generatedOnly)]);
  },
  /** x - penalty · times, by how often groups of beams before chose a token in this step (Vijayakumar et al., 2018). */
  hammingDiversity: (penalty: number) => {
    checkReal(nameOf('hammingDiversity'), 'penalty', penalty, 'at least 0', (x) => x >= 0);
    return LogitsProcessor.of('hammingDiversity', [real(penalty)]);
  },
  /** Drops what would make n tokens that the history has. */
  noRepeatNgram: (n: number) => {
    checkCount(nameOf('noRepeatNgram'), 'n', n, 1);
    return LogitsProcessor.of('noRepeatNgram', [n]);
  },
  /** Drops what would make n tokens that the source has. */
  encoderNoRepeatNgram: (n: number) => {
    checkCount(nameOf('encoderNoRepeatNgram'), 'n', n, 1);
    return LogitsProcessor.of('encoderNoRepeatNgram', [n]);
  },
  /** Don't repeat yourself: x - multiplier · base^(m - allowedLength) for what would continue a repetition of m tokens. */
  dry: (options: DryOptions) => {
    const name = nameOf('dry');
    const known = ['multiplier', 'base', 'allowedLength', 'lastN', 'sequenceBreakers'] as const;
    const { multiplier, base = 1.75, allowedLength = 2, lastN = 0 } = optionsOf('dry', options, known);
    checkReal(name, 'multiplier', multiplier, 'at least 0', (x) => x >= 0);
    checkReal(name, 'base', base, 'at least 1', (x) => x >= 1);
    checkCount(name, 'allowedLength', allowedLength);
    checkCount(name, 'lastN', lastN);
    const breakers = checkTokens(name, 'sequenceBreakers', options.sequenceBreakers ?? []);
    return LogitsProcessor.of('dry', [real(multiplier), real(base), allowedLength, lastN, ...breakers]);
  },
  /** Drops the end tokens while the history is shorter than this. */
  minLength: (length: number, endTokens: readonly number[]) => {
    checkCount(nameOf('minLength'), 'length', length);
    return LogitsProcessor.of('minLength', [length, ...checkTokens(nameOf('minLength'), 'endTokens', endTokens)]);
  },
  /** Drops the end tokens while fewer tokens are generated. */
  minNewTokens: (count: number, endTokens: readonly number[]) => {
    checkCount(nameOf('minNewTokens'), 'count', count);
    return LogitsProcessor.of('minNewTokens', [count, ...checkTokens(nameOf('minNewTokens'), 'endTokens', endTokens)]);
  },
  /** Where the history is one token, the decoder's start: only this may follow. */
  forcedBos: (token: number) => {
    checkCount(nameOf('forcedBos'), 'token', token);
    return LogitsProcessor.of('forcedBos', [token]);
  },
  /** At the last place that a sequence has: only these may stand. */
  forcedEos: (tokens: readonly number[]) =>
    LogitsProcessor.of('forcedEos', checkTokens(nameOf('forcedEos'), 'tokens', tokens)),
  suppress: (tokens: readonly number[]) =>
    LogitsProcessor.of('suppress', checkTokens(nameOf('suppress'), 'tokens', tokens)),
  /** Drops tokens as the first generated one; `afterForcedBos`: as the second, where the prompt is one token. */
  beginSuppress: (tokens: readonly number[], options: { afterForcedBos?: boolean | undefined } = {}) => {
    const { afterForcedBos = false } = optionsOf('beginSuppress', options, ['afterForcedBos']);
    checkBoolean(nameOf('beginSuppress'), 'afterForcedBos', afterForcedBos);
    const ids = checkTokens(nameOf('beginSuppress'), 'tokens', tokens);
    return LogitsProcessor.of('beginSuppress', [Number(afterForcedBos), ...ids]);
  },
  /** NaN becomes 0, ±∞ the largest and lowest float32. */
  removeInvalid: () => LogitsProcessor.of('removeInvalid'),
  /** |x| · (factor^(n - start) - 1) is added to end tokens once n > start tokens are generated. */
  exponentialDecay: (start: number, factor: number, endTokens: readonly number[]) => {
    const name = nameOf('exponentialDecay');
    checkCount(name, 'start', start);
    checkPositive(name, 'factor', factor);
    const ids = checkTokens(name, 'endTokens', endTokens);
    return LogitsProcessor.of('exponentialDecay', [start, ...wide(factor), ...ids]);
  },
  /** x / temperature. */
  temperature: (temperature: number) => {
    checkPositive(nameOf('temperature'), 'temperature', temperature);
    return LogitsProcessor.of('temperature', [real(temperature)]);
  },
  /** A temperature from low to high by the entropy of p, as a share of the largest, to the power of `exponent`. */
  dynamicTemperature: (low: number, high: number, options: { exponent?: number | undefined } = {}) => {
    const name = nameOf('dynamicTemperature');
    const { exponent = 1 } = optionsOf('dynamicTemperature', options, ['exponent']);
    checkReal(name, 'low', low, 'at least 0', (x) => x >= 0);
    checkReal(name, 'high', high, 'at least low', (x) => x >= low);
    checkPositive(name, 'exponent', exponent);
    return LogitsProcessor.of('dynamicTemperature', [real(low), real(high), real(exponent)]);
  },
  /** Keeps the k best, and what equals the k-th (Fan et al., 2018). */
  topK: (k: number) => {
    checkCount(nameOf('topK'), 'k', k, 1);
    return LogitsProcessor.of('topK', [k]);
  },
  /** Keeps the best that together hold p (Holtzman et al., 2020). */
  topP: (p: number, options: Keep = {}) => {
    checkMass(nameOf('topP'), 'p', p);
    return LogitsProcessor.of('topP', [real(1 - p), keepWord('topP', options)]);
  },
  /** Keeps what is at least p times as likely as the best (Nguyen et al., 2024). */
  minP: (p: number, options: Keep = {}) => {
    checkWithin(nameOf('minP'), 'p', p, 0, 1);
    return LogitsProcessor.of('minP', [real(p), keepWord('minP', options)]);
  },
  /** Keeps those whose surprise is nearest to the expected one, that together hold p (Meister et al., 2023). */
  typicalP: (p: number, options: Keep = {}) => {
    checkMass(nameOf('typicalP'), 'p', p);
    return LogitsProcessor.of('typicalP', [real(p), keepWord('typicalP', options)]);
  },
  /** Keeps probabilities of at least epsilon (Hewitt et al., 2022). */
  epsilonCutoff: (epsilon: number, options: Keep = {}) => {
    checkWithin(nameOf('epsilonCutoff'), 'epsilon', epsilon, 0, 1);
    return LogitsProcessor.of('epsilonCutoff', [real(epsilon), keepWord('epsilonCutoff', options)]);
  },
  /** Keeps probabilities of at least min(epsilon, √epsilon · e^-entropy) (Hewitt et al., 2022). */
  etaCutoff: (epsilon: number, options: Keep = {}) => {
    checkWithin(nameOf('etaCutoff'), 'epsilon', epsilon, 0, 1);
    return LogitsProcessor.of('etaCutoff', [real(epsilon), keepWord('etaCutoff', options)]);
  },
  /** Keeps scores within n standard deviations of the best (Tang et al., 2024). */
  topNSigma: (n: number) => {
    checkPositive(nameOf('topNSigma'), 'n', n);
    return LogitsProcessor.of('topNSigma', [real(n)]);
  },
  /** Exclude top choices: with this probability drops all tokens of p ≥ threshold but the least likely of them. */
  xtc: (probability: number, threshold = 0.1) => {
    checkWithin(nameOf('xtc'), 'probability', probability, 0, 1);
    checkWithin(nameOf('xtc'), 'threshold', threshold, 0, 1);
    return LogitsProcessor.of('xtc', [real(probability), real(threshold)]);
  },
  /** Keeps what surprises by at most mu bits, and the best (Basu et al., 2021). */
  mirostat: () => LogitsProcessor.of('mirostat'),
};

interface Keep {
  /** So many of the best are kept in any case. Default 1. */
  minTokensToKeep?: number | undefined;
}
