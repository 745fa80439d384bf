import { processLogits, processorsOf, tensor, type ProcessorOptions, type ProcessorOrder } from '#lib/index';
import { PROCESSOR_OPTIONS } from '#lib/generation/processors';
import { expectClose } from '../support/compare';
import * as naive from '../support/naive-processors';
import { Random } from '../support/random';

// ---- Orders

const WIDTH = 200;
const history = [...Array(70).keys()].map((i) => (i * 37) % 90);
const prompt = 30;
const generated = history.slice(prompt);
const f = Math.fround;

const settings = {
  logitBias: { 3: 2, 10: -1 },
  badWordsIds: [[4], [history.at(-1)!, 7]],
  repetitionPenalty: 1.3,
  frequencyPenalty: 0.5,
  presencePenalty: 0.25,
  temperature: 0.7,
  topNSigma: 2,
  topK: 60,
  topP: 0.9,
  minP: 0.03,
  typicalP: 0.8,
  xtcProbability: 1,
  xtcThreshold: 0.06,
} satisfies ProcessorOptions;

const logitBias: naive.Processor = (x) => x.map((value, t) => value + (t === 3 ? 2 : t === 10 ? -1 : 0));
const badWords: naive.Processor = (x) => x.map((value, t) => (t === 4 || t === 7 ? -Infinity : value));
const [temperature, sigma, topK] = [naive.temperature(f(0.7)), naive.topNSigma(2), naive.topK(60)];
const [topP, minP, typicalP, xtc] = [naive.topP(0.9), naive.minP(f(0.03)), naive.typicalP(0.8), naive.xtc(f(0.06))];
const penalties = (tokens: number[], all: number[]) => [
  naive.repetitionPenalty(all, f(1.3)),
  naive.frequencyPenalty(tokens, 0.5, 0),
  naive.frequencyPenalty(tokens, 0, 0.25),
];

const orders: [ProcessorOrder, naive.Processor[]][] = [
  [
    'hf',
    [
      ...[logitBias, ...penalties(generated, history), badWords],
      ...[temperature, sigma, topK, topP, minP, typicalP, xtc],
    ],
  ],
  [
    'llama.cpp',
    [
      ...[logitBias, badWords, ...penalties(history.slice(-64), history.slice(-64))],
      ...[sigma, topK, typicalP, topP, minP, xtc, temperature],
    ],
  ],
  [
    'vllm',
    [
      ...[badWords, logitBias, ...penalties(generated, history)],
      ...[temperature, minP, sigma, topK, topP, typicalP, xtc],
    ],
  ],
];

const state = () => ({
  history: tensor(Int32Array.from(history), [1, history.length]),
  lengths: tensor(Int32Array.of(history.length)),
  promptLengths: tensor(Int32Array.of(prompt)),
  ...{ keys: tensor(new Int32Array(3), [1, 3]), steps: tensor(new Int32Array(1)) },
});

test('the three orders give what they say, and not the same', async () => {
  const results: string[] = [];
  const x = [...new Random(8).normals(WIDTH, 2)];
  for (const [order, plain] of orders) {
    const chain = processorsOf(settings, { order });
    const out = await processLogits(tensor(Float32Array.from(x), [1, WIDTH]), chain, state()).data();
    expectClose(out, naive.chain(...plain)(x), { abs: 1e-5, rel: 1e-5 }, `${order}: score`);
    results.push(out.join());
  }
  expect(new Set(results).size).toBe(3);
});

test('the order of the kinds', () => {
  const all: ProcessorOptions = {
    ...settings,
    ...{ sequenceBias: [[[1], 1]], diversityPenalty: 1, encoderRepetitionPenalty: 2, dryMultiplier: 1 },
    ...{ noRepeatNgramSize: 2, encoderNoRepeatNgramSize: 2, minLength: 1, minNewTokens: 1, forcedBosTokenId: 1 },
    ...{ forcedEosTokenId: [2], removeInvalidValues: true, exponentialDecayLengthPenalty: [1, 2] },
    ...{ suppressTokens: [1], beginSuppressTokens: [1], epsilonCutoff: 0.1, etaCutoff: 0.1, mirostat: 2 },
    renormalizeLogits: true,
  };
  const kinds = (order: ProcessorOrder) =>
    processorsOf(all, { order, eosTokenIds: [2], logSoftmax: true }).map(({ kind }) => kind);
  const hf = kinds('hf');
  expect(hf).toEqual([
    ...['logSoftmax', 'bias', 'bias', 'hammingDiversity', 'encoderRepetitionPenalty', 'repetitionPenalty'],
    ...['frequencyPenalty', 'frequencyPenalty', 'dry', 'noRepeatNgram', 'encoderNoRepeatNgram', 'bias', 'minLength'],
    ...['minNewTokens', 'forcedBos', 'forcedEos', 'removeInvalid', 'exponentialDecay', 'suppress', 'beginSuppress'],
    ...['temperature', 'topNSigma', 'topK', 'topP', 'minP', 'typicalP', 'epsilonCutoff', 'etaCutoff', 'xtc'],
    ...['mirostat', 'logSoftmax'],
  ]);
  for (const order of ['llama.cpp', 'vllm'] as const) expect([...kinds(order)].sort()).toEqual([...hf].sort());
});

test('what leaves all as it is makes no processor', () => {
  const neutral: ProcessorOptions = {
    ...{ temperature: 1, topK: 0, topP: 1, minP: 0, typicalP: 1, epsilonCutoff: 0, etaCutoff: 0, topNSigma: 0 },
    ...{ sequenceBias: [], logitBias: {}, diversityPenalty: 0, encoderRepetitionPenalty: 1, repetitionPenalty: 1 },
    ...{ frequencyPenalty: 0, presencePenalty: 0, dryMultiplier: 0, noRepeatNgramSize: 0, encoderNoRepeatNgramSize: 0 },
    ...{ badWordsIds: [[2]], minLength: 0, minNewTokens: 0, forcedBosTokenId: null, forcedEosTokenId: null },
    ...{ removeInvalidValues: false, suppressTokens: [], beginSuppressTokens: [], dynatempRange: 0 },
    ...{ xtcProbability: 0, mirostat: 0, renormalizeLogits: false, penaltyLastN: 8, drySequenceBreakers: [1] },
  };
  expect(processorsOf(neutral, { eosTokenIds: [2] })).toEqual([]);
  expect(processorsOf({})).toEqual([]);
  expect(processorsOf({ minLength: 5, minNewTokens: 5 })).toEqual([]); // there is no end token
});

test('warpers keep what beams need', async () => {
  const x = [5, 1, 0, -1];
  const options: ProcessorOptions[] = [
    { topK: 1 },
    { topP: 0.1 },
    { minP: 0.9 },
    { epsilonCutoff: 0.5 },
    { etaCutoff: 0.5 },
  ];
  for (const option of options) {
    const chain = processorsOf(option, { minTokensToKeep: 3 });
    using scores = processLogits(tensor(x, [1, 4]), chain);
    expect(await scores.data()).toEqual(Float32Array.of(5, 1, 0, -Infinity));
  }
});

// ---- Bad options

const nan = Number.NaN;
const numbers: Partial<Record<keyof ProcessorOptions, unknown[]>> = {
  temperature: [0, -1, nan, Infinity, '1', null, 1e-60],
  topK: [-1, 1.5, nan, '5', null],
  topP: [0, -0.1, 1.1, nan, '1', null],
  minP: [-0.1, 1.1, nan, '0', null],
  typicalP: [0, 1.1, nan, true, null],
  epsilonCutoff: [-0.1, 1, nan, '0', null],
  etaCutoff: [-0.1, 1, nan, '0', null],
  topNSigma: [-1, nan, '1', null],
  diversityPenalty: [-1, nan, '1', null],
  encoderRepetitionPenalty: [0, -1, nan, '1', null],
  repetitionPenalty: [0, -1, nan, Infinity, '1', null],
  frequencyPenalty: [-2.1, 2.1, nan, '1', null],
  presencePenalty: [-2.1, 2.1, nan, '1', null],
  penaltyLastN: [0, -1, 1.5, '64', null],
  dryMultiplier: [-1, nan, '1', null],
  dryBase: [0.9, nan, '1', null],
  dryAllowedLength: [-1, 1.5, '1', null],
  drySequenceBreakers: [1, '\n', [1.5], ['a'], null],
  dryPenaltyLastN: [0, -1, '1', null],
  noRepeatNgramSize: [-1, 1.5, '1', null],
  encoderNoRepeatNgramSize: [-1, 1.5, '1', null],
  badWordsIds: [1, [1], [[]], [['a']], [[-1]], null],
  minLength: [-1, 1.5, '1', null],
  minNewTokens: [-1, 1.5, '1', null],
  forcedBosTokenId: [-1, 1.5, '1', [1]],
  forcedEosTokenId: [-1, 1.5, '1', [1.5]],
  removeInvalidValues: [1, 'true', null],
  exponentialDecayLengthPenalty: [1, [1], [1, 0], [1.5, 2], ['1', 2], [1, 2, 3], null],
  suppressTokens: [1, [1.5], ['1'], null],
  beginSuppressTokens: [1, [-1], null],
  dynatempRange: [-1, nan, '1', null],
  dynatempExponent: [0, -1, nan, '1', null],
  xtcProbability: [-0.1, 1.1, nan, '1', null],
  xtcThreshold: [-0.1, 1.1, nan, '1', null],
  mirostat: [1, 3, -1, '2', true, null],
  mirostatTau: [0, nan, '5', null],
  mirostatEta: [0, nan, '1', null],
  sequenceBias: [1, [1], [[[1]]], [[[], 1]], [[[1], nan]], [[[1.5], 1]], [[[1], '1']], null],
  logitBias: [1, 'a', { a: 1 }, { 1: nan }, { 1: '2' }, [[1]], [[-1, 2]], null],
  renormalizeLogits: [1, null],
};
const bad = Object.entries(numbers).flatMap(([key, values]) => values.map((value) => [key, value] as const));

test('every option has its bad values', () => {
  expect(Object.keys(numbers).sort()).toEqual([...PROCESSOR_OPTIONS].sort());
});

test.each(bad)('%s must not be %j', (key, value) => {
  const call = () => processorsOf({ [key]: value }, { name: 'generate', eosTokenIds: [2] });
  expect(call).toThrow(/^\[generate\] /);
  expect(call).toThrow(key);
  expect(call).toThrow(
    expect.objectContaining({ name: expect.stringMatching(/^(TypeError|RangeError)$/) as string }) as Error,
  );
});

test('unknown options, and a wrong context', () => {
  expect(() => processorsOf({ top_k: 1 } as never)).toThrow('[processorsOf] unknown option "top_k"');
  expect(() => processorsOf({}, { order: 'ollama' as never })).toThrow('[processorsOf] order must be one of');
  expect(() => processorsOf({}, { minTokensToKeep: 0 })).toThrow('[processorsOf] minTokensToKeep must be');
  expect(() => processorsOf({}, { eosTokenIds: 2 as never })).toThrow('[processorsOf] eosTokenIds must be');
  expect(() => processorsOf({ exponentialDecayLengthPenalty: [1, 2] })).toThrow(
    'exponentialDecayLengthPenalty must be',
  );
});
