import { checkBoolean, checkInteger, checkOneOf, checkOptions, rangeError, typeError } from '../check';
import {
  checkCount,
  checkPositive,
  checkReal,
  checkTokens,
  checkWithin,
  logitsProcessors,
  type LogitsProcessor,
  type TokenBias,
} from '../ops/logits-processors';
import { WARPERS, WARPER_NAMES, type WarperOptions } from '../ops/warpers';
import type { ProcessorContext, ProcessorOptions, ProcessorOrder } from './processor-options';

export type { ProcessorContext, ProcessorOptions, ProcessorOrder } from './processor-options';

interface Given {
  name: string;
  options: ProcessorOptions;
  order: ProcessorOrder;
  ends: readonly number[];
  keep: number;
}
type Build = (given: Given) => LogitsProcessor | undefined;

/** llama.cpp's penalty_last_n. */
const LLAMA_LAST_N = 64;

/** Checks a number that has a default, and builds from it unless it is the one that leaves all as it is. */
const unless =
  (
    off: number,
    key: keyof ProcessorOptions,
    check: (name: string, argument: string, value: unknown) => void,
    build: (value: number, given: Given) => LogitsProcessor | undefined,
  ): Build =>
  (given) => {
    const value = given.options[key] === undefined ? off : given.options[key];
    check(given.name, key, value);
    return value === off ? undefined : build(value as number, given);
  };

const checkFromZero = (name: string, argument: string, value: unknown): void => {
  checkReal(name, argument, value, 'at least 0', (x) => x >= 0);
};
const checkCountFromZero = (name: string, argument: string, value: unknown): void => {
  checkCount(name, argument, value);
};
const checkPenalty = (name: string, argument: string, value: unknown): void => {
  checkWithin(name, argument, value, -2, 2);
};
const checkShare = (name: string, argument: string, value: unknown): void => {
  checkWithin(name, argument, value, 0, 1);
};

/** Tokens that penalties look back at; 0: all. */
function lastN({ name, options: { penaltyLastN }, order }: Given): number {
  if (penaltyLastN === undefined) return order === 'llama.cpp' ? LLAMA_LAST_N : 0;
  checkCount(name, 'penaltyLastN', penaltyLastN, 1);
  return penaltyLastN;
}

const frequencyPenalty =
  (key: 'frequency' | 'presence'): Build =>
  (given) =>
    unless(0, `${key}Penalty`, checkPenalty, (value) =>
      logitsProcessors.frequencyPenalty({
        [key]: value,
        lastN: lastN(given),
        generatedOnly: given.order !== 'llama.cpp',
      }),
    )(given);

/** Pairs that cannot be part of a bias are named by their option, not by the processor. */
function pairsOf(name: string, key: string, value: unknown): readonly (readonly [unknown, unknown])[] {
  if (!Array.isArray(value)) throw typeError(name, key, 'an array of pairs', value);
  for (const [index, pair] of (value as unknown[]).entries()) {
    if (!Array.isArray(pair) || pair.length !== 2) throw typeError(name, `${key}[${index}]`, 'a pair', pair);
    const bias: unknown = pair[1];
    if (bias !== -Infinity) checkReal(name, `${key}[${index}][1]`, bias, 'a finite number or -Infinity', () => true);
  }
  return value as (readonly [unknown, unknown])[];
}

function sequenceOf(name: string, argument: string, value: unknown): readonly number[] {
  if (!Array.isArray(value)) throw typeError(name, argument, 'an array of token ids', value);
  if (value.length === 0) throw rangeError(name, argument, 'of at least one token', value);
  for (const [index, id] of (value as unknown[]).entries()) checkCount(name, `${argument}[${index}]`, id);
  return value as number[];
}

const biasOf = (biases: readonly TokenBias[]): LogitsProcessor | undefined =>
  biases.length > 0 ? logitsProcessors.bias(biases) : undefined;

const warpers = Object.fromEntries(
  WARPER_NAMES.map((key) => [
    key,
    ({ name, options, keep }: Given) => {
      const value = options[key];
      return value === undefined ? undefined : WARPERS[key](name, value, keep);
    },
  ]),
) as Record<keyof WarperOptions, Build>;

/** What makes a processor of options, by the option that asks for it. */
const BUILDERS = {
  ...warpers,
  sequenceBias: ({ name, options: { sequenceBias = [] } }) =>
    biasOf(
      pairsOf(name, 'sequenceBias', sequenceBias).map(([ids, bias], index) => [
        sequenceOf(name, `sequenceBias[${index}][0]`, ids),
        bias as number,
      ]),
    ),
  logitBias: ({ name, options: { logitBias = [] } }) => {
    if (typeof logitBias !== 'object' || logitBias === null) {
      throw typeError(name, 'logitBias', 'an object or an array of pairs', logitBias);
    }
    const pairs: unknown = Array.isArray(logitBias)
      ? logitBias
      : Object.entries(logitBias).map(([id, bias]: [string, unknown]) => [Number(id), bias]);
    return biasOf(
      pairsOf(name, 'logitBias', pairs).map(([id, bias], index) => [
        sequenceOf(name, `logitBias[${index}]`, [id]),
        bias as number,
      ]),
    );
  },
  diversityPenalty: unless(0, 'diversityPenalty', checkFromZero, logitsProcessors.hammingDiversity),
  encoderRepetitionPenalty: unless(
    1,
    'encoderRepetitionPenalty',
    checkPositive,
    logitsProcessors.encoderRepetitionPenalty,
  ),
  repetitionPenalty: unless(1, 'repetitionPenalty', checkPositive, (penalty, given) =>
    logitsProcessors.repetitionPenalty(penalty, { lastN: lastN(given) }),
  ),
  frequencyPenalty: frequencyPenalty('frequency'),
  presencePenalty: frequencyPenalty('presence'),
  dryMultiplier: (given) => {
    const { name, options } = given;
    const { dryBase: base = 1.75, dryAllowedLength: allowedLength = 2, dryPenaltyLastN: last } = options;
    const { drySequenceBreakers: breakers = [] } = options;
    checkReal(name, 'dryBase', base, 'at least 1', (x) => x >= 1);
    checkCount(name, 'dryAllowedLength', allowedLength);
    if (last !== undefined) checkCount(name, 'dryPenaltyLastN', last, 1);
    const sequenceBreakers = checkTokens(name, 'drySequenceBreakers', breakers);
    return unless(0, 'dryMultiplier', checkFromZero, (multiplier) =>
      logitsProcessors.dry({ multiplier, base, allowedLength, lastN: last ?? 0, sequenceBreakers }),
    )(given);
  },
  noRepeatNgramSize: unless(0, 'noRepeatNgramSize', checkCountFromZero, logitsProcessors.noRepeatNgram),
  encoderNoRepeatNgramSize: unless(
    0,
    'encoderNoRepeatNgramSize',
    checkCountFromZero,
    logitsProcessors.encoderNoRepeatNgram,
  ),
  badWordsIds: ({ name, options: { badWordsIds = [] }, ends }) => {
    if (!Array.isArray(badWordsIds)) throw typeError(name, 'badWordsIds', 'an array of lists', badWordsIds);
    const words = (badWordsIds as unknown[]).map((word, index) => sequenceOf(name, `badWordsIds[${index}]`, word));
    return biasOf(
      words.filter(([first, ...more]) => more.length > 0 || !ends.includes(first!)).map((word) => [word, -Infinity]),
    );
  },
  minLength: unless(0, 'minLength', checkCountFromZero, (length, { ends }) =>
    ends.length > 0 ? logitsProcessors.minLength(length, ends) : undefined,
  ),
  minNewTokens: unless(0, 'minNewTokens', checkCountFromZero, (count, { ends }) =>
    ends.length > 0 ? logitsProcessors.minNewTokens(count, ends) : undefined,
  ),
  forcedBosTokenId: ({ name, options: { forcedBosTokenId: token } }) => {
    if (token === undefined || token === null) return undefined;
    checkCount(name, 'forcedBosTokenId', token);
    return logitsProcessors.forcedBos(token);
  },
  forcedEosTokenId: ({ name, options: { forcedEosTokenId: ids } }) => {
    const tokens = checkTokens(name, 'forcedEosTokenId', typeof ids === 'number' ? [ids] : (ids ?? []));
    return tokens.length > 0 ? logitsProcessors.forcedEos(tokens) : undefined;
  },
  removeInvalidValues: ({ name, options: { removeInvalidValues: on = false } }) => {
    checkBoolean(name, 'removeInvalidValues', on);
    return on ? logitsProcessors.removeInvalid() : undefined;
  },
  exponentialDecayLengthPenalty: ({ name, options: { exponentialDecayLengthPenalty: pair }, ends }) => {
    if (pair === undefined) return undefined;
    const key = 'exponentialDecayLengthPenalty';
    if (!Array.isArray(pair) || pair.length !== 2) throw typeError(name, key, 'a pair [start, factor]', pair);
    const [start, factor] = pair as unknown[];
    checkCount(name, `${key}[0]`, start);
    checkPositive(name, `${key}[1]`, factor);
    if (ends.length === 0) throw rangeError(name, key, 'used with an end token', pair);
    return logitsProcessors.exponentialDecay(start, factor, ends);
  },
  suppressTokens: ({ name, options: { suppressTokens = [] } }) => {
    const tokens = checkTokens(name, 'suppressTokens', suppressTokens);
    return tokens.length > 0 ? logitsProcessors.suppress(tokens) : undefined;
  },
  beginSuppressTokens: ({ name, options: { beginSuppressTokens = [], forcedBosTokenId = null } }) => {
    const tokens = checkTokens(name, 'beginSuppressTokens', beginSuppressTokens);
    const afterForcedBos = forcedBosTokenId !== null;
    return tokens.length > 0 ? logitsProcessors.beginSuppress(tokens, { afterForcedBos }) : undefined;
  },
  temperature: (given) => {
    const { name, options } = given;
    const { temperature = 1, dynatempRange: range = 0, dynatempExponent: exponent = 1 } = options;
    checkFromZero(name, 'dynatempRange', range);
    checkPositive(name, 'dynatempExponent', exponent);
    const fixed = WARPERS.temperature(name, temperature, 1);
    if (range === 0) return fixed;
    return logitsProcessors.dynamicTemperature(Math.max(0, temperature - range), temperature + range, { exponent });
  },
  xtcProbability: (given) => {
    const { xtcThreshold: threshold = 0.1 } = given.options;
    checkShare(given.name, 'xtcThreshold', threshold);
    return unless(0, 'xtcProbability', checkShare, (probability) => logitsProcessors.xtc(probability, threshold))(
      given,
    );
  },
  mirostat: ({ name, options: { mirostat = 0, mirostatTau = 5, mirostatEta = 0.1 } }) => {
    checkInteger(name, 'mirostat', mirostat, 0, 2);
    if (mirostat === 1) throw rangeError(name, 'mirostat', '0 (off) or 2 (mirostat 2.0)', mirostat);
    checkPositive(name, 'mirostatTau', mirostatTau);
    checkPositive(name, 'mirostatEta', mirostatEta);
    return mirostat === 2 ? logitsProcessors.mirostat() : undefined;
  },
  renormalizeLogits: ({ name, options: { renormalizeLogits: on = false } }) => {
    checkBoolean(name, 'renormalizeLogits', on);
    return on ? logitsProcessors.logSoftmax() : undefined;
  },
} satisfies Partial<Record<keyof ProcessorOptions, Build>>;
type Step = keyof typeof BUILDERS;

/** Limits on which tokens may come; all but the reference have few of them, and so have them here, before penalties. */
const LIMITS = [
  ...(['noRepeatNgramSize', 'encoderNoRepeatNgramSize', 'badWordsIds', 'minLength', 'minNewTokens'] as const),
  ...(['forcedBosTokenId', 'forcedEosTokenId', 'removeInvalidValues', 'exponentialDecayLengthPenalty'] as const),
  ...(['suppressTokens', 'beginSuppressTokens'] as const),
] satisfies Step[];

/**
 * The three orders. 'hf': `_get_logits_processor` and `_get_logits_warper` of transformers 4.44.2; what it lacks stands
 * beside what is most like it. 'llama.cpp': `common_params_sampling::samplers`, mirostat last. 'vllm': `Sampler` of its
 * engine v1.
 */
const ORDERS: Record<ProcessorOrder, readonly Step[]> = {
  hf: [
    ...(['sequenceBias', 'logitBias', 'diversityPenalty', 'encoderRepetitionPenalty', 'repetitionPenalty'] as const),
    ...(['frequencyPenalty', 'presencePenalty', 'dryMultiplier'] as const),
    ...LIMITS,
    ...(['temperature', 'topNSigma', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff'] as const),
    ...(['xtcProbability', 'mirostat', 'renormalizeLogits'] as const),
  ],
  'llama.cpp': [
    ...(['logitBias', 'sequenceBias', 'diversityPenalty'] as const),
    ...LIMITS,
    ...(['encoderRepetitionPenalty', 'repetitionPenalty', 'frequencyPenalty', 'presencePenalty'] as const),
    ...(['dryMultiplier', 'topNSigma', 'topK', 'typicalP', 'topP', 'minP', 'epsilonCutoff', 'etaCutoff'] as const),
    ...(['xtcProbability', 'temperature', 'mirostat', 'renormalizeLogits'] as const),
  ],
  vllm: [
    ...LIMITS,
    ...(['logitBias', 'sequenceBias', 'diversityPenalty', 'encoderRepetitionPenalty', 'repetitionPenalty'] as const),
    ...(['frequencyPenalty', 'presencePenalty', 'dryMultiplier', 'temperature', 'minP', 'topNSigma'] as const),
    ...(['topK', 'topP', 'typicalP', 'epsilonCutoff', 'etaCutoff', 'xtcProbability', 'mirostat'] as const),
    ...(['renormalizeLogits'] as const),
  ],
};

/** All options of processors. */
export const PROCESSOR_OPTIONS: readonly (keyof ProcessorOptions)[] = [
  ...ORDERS.hf,
  ...(['penaltyLastN', 'dryBase', 'dryAllowedLength', 'drySequenceBreakers', 'dryPenaltyLastN'] as const),
  ...(['dynatempRange', 'dynatempExponent', 'xtcThreshold', 'mirostatTau', 'mirostatEta'] as const),
];

/**
 * The chain of processors that options ask for, for `processLogits`. What its processors need is to be in the state that
 * is given there: history and lengths for penalties, for instance.
 *
 * @throws TypeError, RangeError naming an option that is unknown or has a wrong value.
 */
export function processorsOf(options: ProcessorOptions, context: ProcessorContext = {}): LogitsProcessor[] {
  checkOptions('processorsOf', context, ['name', 'order', 'eosTokenIds', 'minTokensToKeep', 'logSoftmax']);
  const { name = 'processorsOf', order = 'hf', eosTokenIds = [], minTokensToKeep = 1, logSoftmax = false } = context;
  if (options === undefined) throw typeError(name, 'options', 'an object', options);
  checkOptions(name, options, PROCESSOR_OPTIONS);
  checkOneOf(name, 'order', order, Object.keys(ORDERS) as ProcessorOrder[]);
  checkInteger(name, 'minTokensToKeep', minTokensToKeep, 1);
  checkBoolean(name, 'logSoftmax', logSoftmax);
  const ends = checkTokens(name, 'eosTokenIds', eosTokenIds);
  const given: Given = { name, options, order, ends, keep: minTokensToKeep };
  if (options.penaltyLastN !== undefined) lastN(given); // also where no penalty uses it
  const first = logSoftmax ? [logitsProcessors.logSoftmax()] : [];
  return [...first, ...ORDERS[order].flatMap((step) => BUILDERS[step](given) ?? [])];
}
