import { readFileSync } from 'node:fs';
import * as path from 'node:path';
import { loadModel, type GenerationOptions, type Model } from 'heddle';
import { GENERATION_OPTIONS } from '#lib/generation/options';

// What callers may get wrong: every option with values of a wrong type or range, options that do nothing in a mode, and
// pairs that exclude each other. Each error is a TypeError or RangeError that names the function and the option.

let model: Model;
beforeAll(async () => {
  model = await loadModel('builtin:shakespeare');
});
afterAll(() => model.dispose());

const nan = NaN;
const COUNT = [-1, 1.5, nan, '1'];
const NUMBER = [nan, Infinity, '1'];
const TOKENS = [-1, 1.5, nan, 'a', 1e9];
const SHARE = [-0.1, 1.1, nan, '1'];
const LIST = [1, 'a', [-1], [1.5], ['1'], [1e9]];
/** What must stand beside an option for its value to be looked at. */
const BESIDE: Partial<Record<keyof GenerationOptions, GenerationOptions>> = {
  numBeamGroups: { numBeams: 4 },
  lengthPenalty: { numBeams: 2 },
  earlyStopping: { numBeams: 2 },
  diversityPenalty: { numBeams: 4, numBeamGroups: 2 },
  forceWordsIds: { numBeams: 2 },
  numReturnSequences: { doSample: true },
  penaltyAlpha: { topK: 4 },
  negativePrompt: { guidanceScale: 2 },
  dryBase: { dryMultiplier: 1 },
  dryAllowedLength: { dryMultiplier: 1 },
  drySequenceBreakers: { dryMultiplier: 1 },
  dryPenaltyLastN: { dryMultiplier: 1 },
  xtcThreshold: { xtcProbability: 0.5 },
  mirostatTau: { mirostat: 2 },
  mirostatEta: { mirostat: 2 },
};

const WRONG: Record<keyof GenerationOptions, readonly unknown[]> = {
  maxNewTokens: [0, ...COUNT, 1e9],
  maxLength: [0, ...COUNT],
  maxTime: [0, -1, ...NUMBER],
  eosTokenId: [...TOKENS, [0, -1], [null]],
  padTokenId: TOKENS,
  stopStrings: [1, '', ['a', 1], ['']],
  doSample: [1, 'true'],
  seed: [...COUNT, [1, 2], ['1']],
  numBeams: [0, ...COUNT, 1e6],
  numBeamGroups: [0, ...COUNT, 3],
  lengthPenalty: NUMBER,
  earlyStopping: [1, 'always', null],
  penaltyAlpha: [-0.1, 1.1, nan, '1'],
  forceWordsIds: [1, [1], [[]], [['a']], [[-1]], [[1e9]], [[[1], []]], [[[1], [1, 2]]]],
  numReturnSequences: [0, ...COUNT, 1e6],
  bestOf: [0, ...COUNT, 1e6],
  order: ['pytorch', 1],
  logitsProcessor: [1, {}, [1]],
  prefixAllowedTokensFn: [1, {}],
  guidanceScale: [0.5, ...NUMBER],
  negativePrompt: [1, '', [-1], [1e9]],
  decoderIds: [[1], 1, 'a'],
  decoderStartTokenId: [1, -1, 'a'],
  skipSpecialTokens: [1, 'true'],
  logprobs: [...COUNT, 1e6],
  returnScores: [1, 'true'],
  capture: [1, 'norm', [1], ['layers.99']],
  prefillChunkSize: [0, ...COUNT],
  signal: [{}, 1],
  sequenceBias: [1, [1], [[[1]]], [[[], 1]], [[[1], 'a']], [[[-1], 1]], [[[1e9], 1]]],
  logitBias: [1, 'a', [[1]], [[1, 'a']], [[-1, 1]], { 999999: 1 }, { a: 1 }],
  diversityPenalty: [-1, ...NUMBER],
  encoderRepetitionPenalty: [0, -1, ...NUMBER],
  repetitionPenalty: [0, -1, ...NUMBER],
  frequencyPenalty: [-2.1, 2.1, ...NUMBER],
  presencePenalty: [-2.1, 2.1, ...NUMBER],
  penaltyLastN: [0, ...COUNT],
  dryMultiplier: [-1, ...NUMBER],
  dryBase: [0.9, ...NUMBER],
  dryAllowedLength: COUNT,
  drySequenceBreakers: [1, 'a', [-1], ['a']],
  dryPenaltyLastN: [0, ...COUNT],
  noRepeatNgramSize: COUNT,
  encoderNoRepeatNgramSize: COUNT,
  badWordsIds: [1, [1], [[]], [['a']], [[-1]], [[1e9]]],
  minLength: COUNT,
  minNewTokens: COUNT,
  forcedBosTokenId: TOKENS,
  forcedEosTokenId: [...TOKENS, ['a']],
  removeInvalidValues: [1, 'true'],
  exponentialDecayLengthPenalty: [1, [1], [1, 0], [-1, 2], ['a', 2]],
  suppressTokens: LIST,
  beginSuppressTokens: LIST,
  temperature: [0, -1, ...NUMBER],
  topNSigma: [-1, ...NUMBER],
  topK: COUNT,
  topP: [0, ...SHARE],
  minP: SHARE,
  typicalP: [0, ...SHARE],
  epsilonCutoff: [1, ...SHARE],
  etaCutoff: [1, ...SHARE],
  dynatempRange: [-1, ...NUMBER],
  dynatempExponent: [0, -1, ...NUMBER],
  xtcProbability: SHARE,
  xtcThreshold: SHARE,
  mirostat: [1, 3, ...COUNT],
  mirostatTau: [0, -1, ...NUMBER],
  mirostatEta: [0, -1, ...NUMBER],
  renormalizeLogits: [1, 'true'],
};

/** The error of a call, which fails as callers expect. */
async function misuse(options: object): Promise<string> {
  const error: unknown = await model.generate('O', { maxNewTokens: 1, ...options } as GenerationOptions).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error instanceof TypeError || error instanceof RangeError).toBe(true);
  const { message } = error as Error;
  expect(message).toMatch(/^\[(Model\.generate|processLogits|process_logits|logitsProcessors\.\w+)[\]:]/);
  return message;
}

test('the table has every option', () => {
  expect(Object.keys(WRONG).sort()).toEqual([...GENERATION_OPTIONS].sort());
});

const cases = Object.entries(WRONG).flatMap(([option, values]) => values.map((value) => [option, value] as const));
test.each(cases)('%s: %p', async (option, value) => {
  const message = await misuse({ ...BESIDE[option as keyof GenerationOptions], [option]: value });
  // A token outside the vocabulary is seen where the chain is applied, which calls it by the processor's name.
  const name = option.replace(/(TokenId|Tokens|Ids|sequenceB|logitB)$/, '');
  expect(message.toLowerCase()).toContain(
    /vocabulary/.test(message) ? 'token' : value === 1e9 && option === 'maxNewTokens' ? 'context' : name.toLowerCase(),
  );
});

const PAIRS: [name: string, options: GenerationOptions, named: string][] = [
  ['beam options in greedy search', { lengthPenalty: 2 }, 'lengthPenalty'],
  ['early stopping in greedy search', { earlyStopping: true }, 'earlyStopping'],
  ['several greedy sequences', { numReturnSequences: 2, doSample: false }, 'numReturnSequences'],
  ['more sequences than beams', { numBeams: 2, numReturnSequences: 3 }, 'numReturnSequences'],
  ['temperature without sampling', { doSample: false, temperature: 0.7 }, 'temperature'],
  ['topP without sampling', { doSample: false, topP: 0.7 }, 'topP'],
  ['a seed without sampling', { doSample: false, seed: 1 }, 'seed'],
  ['typicalP without sampling', { doSample: false, typicalP: 0.7 }, 'typicalP'],
  ['mirostat with beams', { numBeams: 2, doSample: true, mirostat: 2 }, 'mirostat'],
  ['XTC with beams', { numBeams: 2, doSample: true, xtcProbability: 0.5 }, 'xtcProbability'],
  ['groups that do not divide', { numBeams: 4, numBeamGroups: 3 }, 'numBeamGroups'],
  ['groups without beams', { numBeamGroups: 2 }, 'numBeamGroups'],
  ['groups that are sampled', { numBeams: 4, numBeamGroups: 2, doSample: true }, 'doSample'],
  ['diversity without groups', { numBeams: 4, diversityPenalty: 1 }, 'diversityPenalty'],
  ['words without beams', { forceWordsIds: [[1]] }, 'numBeams'],
  ['words in groups', { forceWordsIds: [[1]], numBeams: 4, numBeamGroups: 2 }, 'numBeamGroups'],
  ['words and sampling', { forceWordsIds: [[1]], numBeams: 4, doSample: true }, 'doSample'],
  ['contrast without candidates', { penaltyAlpha: 0.6 }, 'penaltyAlpha'],
  ['contrast with beams', { penaltyAlpha: 0.6, topK: 4, numBeams: 2, doSample: true }, 'penaltyAlpha'],
  ['contrast and sampling', { penaltyAlpha: 0.6, topK: 4, doSample: true }, 'penaltyAlpha'],
  ['best of fewer than wanted', { bestOf: 2, numReturnSequences: 3 }, 'bestOf'],
  ['best of greedy ones', { bestOf: 2, doSample: false }, 'bestOf'],
  ['log-probabilities of beams', { logprobs: 1, numBeams: 2 }, 'logprobs'],
  ['scores of beams', { returnScores: true, numBeams: 2 }, 'returnScores'],
  ['guided beams', { guidanceScale: 2, numBeams: 2 }, 'guidanceScale'],
  ['a negative prompt without guidance', { negativePrompt: 'a' }, 'negativePrompt'],
  [
    'an own processor in groups',
    { logitsProcessor: () => undefined, numBeams: 4, numBeamGroups: 2 },
    'logitsProcessor',
  ],
  ['an encoder’s option', { decoderIds: [1] }, 'decoderIds'],
  ['decay without an end token', { exponentialDecayLengthPenalty: [1, 2], eosTokenId: null }, 'exponentialDecay'],
  ['stop strings that are empty', { stopStrings: ['a', ''] }, 'stopStrings'],
];
test.each(PAIRS)('%s', async (_, options, named) => {
  expect(await misuse(options)).toContain(named);
});

test('every option is documented', () => {
  const documented = readFileSync(path.resolve('docs/generation.md'), 'utf8');
  const rows = [...documented.matchAll(/^\| `(\w+)` \|/gm)].map(([, name]) => name!);
  expect(rows.sort()).toEqual([...GENERATION_OPTIONS].sort());
});

test('unknown options, by name', async () => {
  expect(await misuse({ num_beams: 2 })).toContain('"num_beams"');
  expect(await misuse({ topk: 2 })).toContain('"topk"');
});

test('beams, and what is not known before the end, are not streamed', () => {
  expect(() => model.stream('O', { numBeams: 2 })).toThrow(/\[Model.stream\] numBeams must be 1/);
  expect(() => model.stream('O', { bestOf: 3 })).toThrow(/\[Model.stream\] bestOf/);
  expect(() => model.stream('O', { capture: ['norm'] })).toThrow(/\[Model.stream\] capture/);
});
