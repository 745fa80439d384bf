import {
  logitsProcessors as processors,
  processLogits,
  processorsOf,
  tensor,
  type LogitsProcessor,
  type ProcessorState,
  type Tensor,
} from '#lib/index';
import { endOfSequence } from '#lib/ops/sample';
import { Program } from '#lib/tensor/program';
import { expectClose } from '../support/compare';
import * as naive from '../support/naive-processors';
import { Random } from '../support/random';

const SCORES = { abs: 1e-5, rel: 1e-6 };
const int32 = (values: readonly number[], shape?: readonly number[]) => tensor(Int32Array.from(values), shape);
const rowsOf = (x: readonly number[], width: number) =>
  Array.from({ length: x.length / width }, (_, r) => x.slice(r * width, (r + 1) * width));

/** Of each row, what a chain gives and what the plain one gives. */
async function expectChain(
  rows: readonly (readonly number[])[],
  chain: readonly LogitsProcessor[],
  plain: (row: number) => naive.Processor,
  state: ProcessorState = {},
): Promise<void> {
  const width = rows[0]!.length;
  using scores = processLogits(tensor(Float32Array.from(rows.flat()), [rows.length, width]), chain, state);
  const actual = rowsOf([...(await scores.data())], width);
  actual.forEach((row, r) => {
    expectClose(row, plain(r)(rows[r]!), SCORES, `row ${r}, score`);
  });
}

/** Rows of normal numbers, some tokens of them dropped before. */
function randomRows(rows: number, width: number, seed: number, scale = 2): number[][] {
  const random = new Random(seed);
  return Array.from({ length: rows }, () =>
    [...random.normals(width, scale)].map((x, i) => (i % 7 === 3 ? -Infinity : x)),
  );
}

const warpers: [name: string, processor: LogitsProcessor, plain: naive.Processor][] = [
  ['logSoftmax', processors.logSoftmax(), naive.logSoftmax()],
  ['temperature 0.7', processors.temperature(0.7), naive.temperature(Math.fround(0.7))],
  ['temperature 0.5 … 1.5', processors.dynamicTemperature(0.5, 1.5), naive.dynamicTemperature(0.5, 1.5, 1)],
  [
    'temperature 0 … 2, exponent 1.5',
    processors.dynamicTemperature(0, 2, { exponent: 1.5 }),
    naive.dynamicTemperature(0, 2, 1.5),
  ],
  ['topK 5', processors.topK(5), naive.topK(5)],
  ['topK 5000', processors.topK(5000), naive.topK(5000)],
  ['topP 0.8', processors.topP(0.8), naive.topP(0.8)],
  ['topP 0.01, 3 kept', processors.topP(0.01, { minTokensToKeep: 3 }), naive.topP(0.01, 3)],
  ['minP 0.1', processors.minP(0.1), naive.minP(0.1)],
  ['minP 0.9, 4 kept', processors.minP(0.9, { minTokensToKeep: 4 }), naive.minP(0.9, 4)],
  ['typicalP 0.6', processors.typicalP(0.6), naive.typicalP(0.6)],
  ['typicalP 0.05, 6 kept', processors.typicalP(0.05, { minTokensToKeep: 6 }), naive.typicalP(0.05, 6)],
  ['epsilonCutoff 0.01', processors.epsilonCutoff(0.01), naive.epsilonCutoff(0.01)],
  ['epsilonCutoff 0.9, 3 kept', processors.epsilonCutoff(0.9, { minTokensToKeep: 3 }), naive.epsilonCutoff(0.9, 3)],
  ['etaCutoff 0.02', processors.etaCutoff(0.02), naive.etaCutoff(0.02)],
  ['etaCutoff 0.9, 2 kept', processors.etaCutoff(0.9, { minTokensToKeep: 2 }), naive.etaCutoff(0.9, 2)],
  ['topNSigma 1', processors.topNSigma(1), naive.topNSigma(1)],
  ['topNSigma 2.5', processors.topNSigma(2.5), naive.topNSigma(2.5)],
  ['xtc 0.05', processors.xtc(1, 0.05), naive.xtc(0.05)],
  ['no xtc', processors.xtc(0, 0.05), (x) => [...x]],
];
const keyed = (rows: number): ProcessorState => ({
  keys: int32(Array.from({ length: rows }, (_, r) => [9, 0, r]).flat(), [rows, 3]),
  steps: int32(Array<number>(rows).fill(0)),
});

describe.each(warpers)('%s', (_, processor, plain) => {
  test.each([1, 2, 9, 100, 3001])('of %i tokens', async (width) => {
    const rows = randomRows(3, width, width);
    await expectChain(rows, [processor], () => plain, keyed(3));
  });

  test('of few values that are far apart', async () => {
    const row = [3, -1, 3, 0, 3, -Infinity, 12, -1, 0, -40];
    await expectChain([row, row.map((x) => x - 50), row.map((x) => x * 3)], [processor], () => plain, keyed(3));
  });

  test('a row without a softmax stays; its neighbours do not mind', async () => {
    const good = [1, 2, 0.5, -1, 0];
    const bad = [
      [1, NaN, 0, 2, 0],
      [-Infinity, -Infinity, -Infinity, -Infinity, -Infinity],
      [0, Infinity, 1, 2, 3],
    ];
    const chain = [processor];
    using scores = processLogits(tensor([good, ...bad, good].flat(), [5, 5]), chain, keyed(5));
    const out = rowsOf([...(await scores.data())], 5);
    expectClose(out[0]!, plain(good), SCORES);
    expectClose(out[4]!, plain(good), SCORES);
    // A plain division needs no softmax; log-softmax has nothing to say but NaN.
    const expected = (row: number[]) =>
      processor.kind === 'logSoftmax' ? row.map(() => NaN) : processor.kind === 'temperature' ? plain(row) : row;
    bad.forEach((row, r) => {
      expectClose(out[r + 1]!, expected(row), SCORES, `bad row ${r}, score`);
    });
  });
});

test('mirostat keeps what surprises by at most mu bits, and the best', async () => {
  const mus = [0.01, 1, 3, 6, 20];
  const rows = randomRows(mus.length, 300, 5);
  const state = { mu: tensor(Float32Array.from(mus)) };
  await expectChain(rows, [processors.mirostat()], (r) => naive.mirostat(mus[r]!), state);
  const equal = [[1, 1, 1, 1, 1]]; // 2.32 bits each: none will do, and of equals the first stands for the best
  await expectChain(equal, [processors.mirostat()], () => (x) => [x[0]!, ...Array<number>(4).fill(-Infinity)], {
    mu: tensor([1]),
  });
});

test('xtc draws by seed, sequence and step', async () => {
  const rows = 4000;
  const row = [2, 1.9, 0, -1];
  using logits = tensor(Array.from({ length: rows }, () => row).flat(), [rows, 4]);
  const share = async (step: number) => {
    const state = { ...keyed(rows), steps: int32(Array<number>(rows).fill(step)) };
    const scores = await processLogits(logits, [processors.xtc(0.3, 0.2)], state).data();
    const dropped = Array.from({ length: rows }, (_, r) => Number(scores[4 * r] === -Infinity));
    expect(scores.filter((x) => x === -Infinity)).toHaveLength(dropped.reduce((a, b) => a + b));
    return dropped;
  };
  const first = await share(0);
  const count = first.reduce((a, b) => a + b);
  expect(Math.abs(count - 0.3 * rows)).toBeLessThan(5 * Math.sqrt(0.21 * rows));
  expect(await share(0)).toEqual(first);
  expect(await share(1)).not.toEqual(first);
});

// ---- Of tokens

const VOCABULARY = 12;
const histories = [
  [1, 2, 3, 1, 2, 3, 1, 2],
  [5, 5, 5, 5, 5, 5, 5],
  [7],
  [],
  [0, 4, 2, 9, 0, 4, 2, 11, 3, 0, 4, 2],
  [1, 2, 99, -1, 1, 2, 99], // tokens that no score is for
];
const room = Math.max(...histories.map((history) => history.length));
const prompts = [3, 0, 1, 0, 12, 2];
const spoken = (): ProcessorState => ({
  history: int32(
    histories.flatMap((history) => [...history, ...Array<number>(room - history.length).fill(6)]),
    [histories.length, room],
  ),
  lengths: int32(histories.map((history) => history.length)),
  promptLengths: int32(prompts),
  maxLengths: int32(histories.map((history, r) => history.length + 1 + (r % 2))),
});
const generated = (r: number) => histories[r]!.slice(prompts[r]);
const dropping =
  (tokens: readonly number[]): naive.Processor =>
  (x) =>
    x.map((value, t) => (tokens.includes(t) ? -Infinity : value));
const dry = { multiplier: 0.8, base: 1.5, allowedLength: 2 };

const ofTokens: [name: string, processor: LogitsProcessor, plain: (row: number) => naive.Processor][] = [
  ['repetitionPenalty', processors.repetitionPenalty(1.5), (r) => naive.repetitionPenalty(histories[r]!, 1.5)],
  [
    'repetitionPenalty of the last 2',
    processors.repetitionPenalty(0.5, { lastN: 2 }),
    (r) => naive.repetitionPenalty(histories[r]!, 0.5, 2),
  ],
  [
    'frequencyPenalty of what was generated',
    processors.frequencyPenalty({ frequency: 0.5, presence: 1 }),
    (r) => naive.frequencyPenalty(generated(r), 0.5, 1),
  ],
  [
    'frequencyPenalty of the last 4',
    processors.frequencyPenalty({ frequency: -1, lastN: 4, generatedOnly: false }),
    (r) => naive.frequencyPenalty(histories[r]!, -1, 0, 4),
  ],
  ['dry', processors.dry(dry), (r) => naive.dry(histories[r]!, dry)],
  [
    'dry of the last 5',
    processors.dry({ ...dry, lastN: 5, allowedLength: 1 }),
    (r) => naive.dry(histories[r]!, { ...dry, lastN: 5, allowedLength: 1 }),
  ],
  [
    'dry with breakers',
    processors.dry({ ...dry, allowedLength: 0, sequenceBreakers: [3, 11] }),
    (r) => naive.dry(histories[r]!, { ...dry, allowedLength: 0, breakers: [3, 11] }),
  ],
  ['noRepeatNgram 1', processors.noRepeatNgram(1), (r) => dropping(histories[r]!)],
  ['noRepeatNgram 3', processors.noRepeatNgram(3), (r) => dropping([[3], [5], [], [], [9, 11], [99]][r]!)],
  ['noRepeatNgram 100', processors.noRepeatNgram(100), () => dropping([])],
  ['minLength 8', processors.minLength(8, [2, 4]), (r) => dropping(histories[r]!.length < 8 ? [2, 4] : [])],
  ['minNewTokens 5', processors.minNewTokens(5, [2]), (r) => dropping(generated(r).length < 5 ? [2] : [])],
  [
    'forcedBos',
    processors.forcedBos(9),
    (r) => (x) => (histories[r]!.length === 1 ? x.map((_, t) => (t === 9 ? 0 : -Infinity)) : [...x]),
  ],
  [
    'forcedEos',
    processors.forcedEos([2, 3]),
    (r) => (x) => (r % 2 === 0 ? x.map((_, t) => (t === 2 || t === 3 ? 0 : -Infinity)) : [...x]),
  ],
  ['suppress', processors.suppress([0, 11]), () => dropping([0, 11])],
  ['beginSuppress', processors.beginSuppress([4]), (r) => dropping(generated(r).length === 0 ? [4] : [])],
  [
    'beginSuppress after a forced token',
    processors.beginSuppress([4], { afterForcedBos: true }),
    (r) => dropping(generated(r).length === (prompts[r] === 1 ? 1 : 0) ? [4] : []),
  ],
  [
    'exponentialDecay',
    processors.exponentialDecay(2, 1.1, [2, 5]),
    (r) => (x) => {
      const power = 1.1 ** Math.max(0, generated(r).length - 2) - 1;
      return x.map((value, t) => (t === 2 || t === 5 ? value + Math.abs(value) * power : value));
    },
  ],
  [
    'bias',
    processors.bias([
      [[2], 1],
      [[1, 2, 4], 2],
      [[2, 4], 0.5],
      [[2, 4], 0.25], // in place of the one before
      [[4], -1],
      [[7, 8], 3], // a history of two tokens is needed to complete two
      [[0, 4, 2, 3], -Infinity],
    ]),
    (r) => (x) =>
      x.map((value, t) => {
        const ends = (...tokens: number[]) =>
          histories[r]!.length > tokens.length && histories[r]!.slice(-tokens.length).join() === tokens.join();
        if (t === 2) return value + 1;
        if (t === 4) return value - 1 + (ends(1, 2) ? 2 : 0) + (ends(2) ? 0.25 : 0);
        return t === 3 && ends(0, 4, 2) ? -Infinity : value;
      }),
  ],
];

test.each(ofTokens)('%s', async (_, processor, plain) => {
  await expectChain(randomFinite(histories.length), [processor], plain, spoken());
});
const randomFinite = (rows: number) => {
  const random = new Random(17);
  return Array.from({ length: rows }, () => [...random.normals(VOCABULARY, 2)]);
};

test('a dropped end token stays dropped when its penalty decays', async () => {
  const chain = [processors.suppress([2]), processors.exponentialDecay(0, 2, [2])];
  await expectChain(randomFinite(histories.length), chain, () => dropping([2]), spoken());
});

test('what an encoder read: one source for two sequences each', async () => {
  const source = { source: int32([1, 2, 8, 3, 7, 5, 0, 0], [2, 4]), sourceLengths: int32([4, 2]) };
  const given = [histories[0]!, histories[0]!, histories[2]!, histories[2]!];
  const state: ProcessorState = {
    ...source,
    history: int32(
      given.flatMap((history) => [...history, ...Array<number>(room - history.length).fill(0)]),
      [4, room],
    ),
    lengths: int32(given.map((history) => history.length)),
  };
  const rows = randomFinite(4);
  const sources = [
    [1, 2, 8, 3],
    [7, 5],
  ];
  const penalty = [processors.encoderRepetitionPenalty(2)];
  await expectChain(rows, penalty, (r) => naive.repetitionPenalty(sources[Math.floor(r / 2)]!, 0.5), state);
  await expectChain(rows, [processors.encoderNoRepeatNgram(3)], (r) => dropping(r < 2 ? [8] : []), state);
  await expectChain(rows, [processors.encoderNoRepeatNgram(2)], (r) => dropping(r < 2 ? [8] : [5]), state);
});

test('groups of beams: tokens chosen before cost, rows name what they go on from', async () => {
  // Two prompts, two groups of two beams: this is the second group.
  const rows = randomFinite(8);
  const own = [2, 3, 6, 7];
  const state = {
    ...{ rows: int32(own), groupTokens: int32([4, 4, 9, 1], [2, 2]) },
    ...{ history: int32([...Array(8).keys()], [8, 1]), lengths: int32(Array<number>(8).fill(1)) },
  };
  const chain = [processors.hammingDiversity(0.7), processors.noRepeatNgram(1)];
  using logits = tensor(Float32Array.from(rows.flat()), [8, VOCABULARY]);
  using scores = processLogits(logits, chain, state);
  expect(scores.shape).toEqual([4, VOCABULARY]);
  const actual = rowsOf([...(await scores.data())], VOCABULARY);
  actual.forEach((row, i) => {
    const plain = naive.chain(naive.frequencyPenalty(i < 2 ? [4, 4] : [9, 1], 0.7, 0), dropping([own[i]!]));
    expectClose(row, plain(rows[own[i]!]!), SCORES, `row ${i}, score`);
  });
});

test('invalid values become finite', async () => {
  using scores = processLogits(tensor([NaN, Infinity, -Infinity, 1, -0.5], [1, 5]), [processors.removeInvalid()]);
  const largest = 3.4028234663852886e38;
  expect([...(await scores.data())]).toEqual([0, largest, -largest, 1, -0.5]);
});

test('an empty chain copies; views, no rows', async () => {
  const x = new Random(1).normals(12);
  using logits = tensor(x, [3, 4]);
  expect(await processLogits(logits, []).data()).toEqual(x);
  using turned = processLogits(logits.transpose(), [processors.topK(1)]);
  const rows = Array.from({ length: 4 }, (_, c) => [0, 1, 2].map((r) => x[4 * r + c]!));
  expectClose(await turned.data(), rows.flatMap(naive.topK(1)), SCORES);
  expect(processLogits(tensor([], [0, 4]), [processors.topP(0.5)]).shape).toEqual([0, 4]);
});

test('many pieces over a large vocabulary', async () => {
  const [plain, chain] = [
    [
      naive.temperature(0.75),
      naive.topNSigma(3),
      naive.topK(900),
      naive.typicalP(0.9),
      naive.topP(0.8),
      naive.minP(0.02),
    ],
    [
      ...[processors.temperature(0.75), processors.topNSigma(3), processors.topK(900), processors.typicalP(0.9)],
      ...[processors.topP(0.8), processors.minP(0.02)],
    ],
  ];
  await expectChain(randomRows(2, 30_000, 3, 3), chain, () => naive.chain(...plain));
});

test('a program applies it again to what its state has become', async () => {
  using logits = tensor(new Float32Array(6).fill(1), [1, 6]);
  using history = int32([4, 2, 0], [1, 3]);
  using lengths = int32([1]);
  let scores!: Tensor;
  using program = Program.record(
    () => (scores = processLogits(logits, [processors.noRepeatNgram(1)], { history, lengths })),
  );
  program.run();
  expect(await scores.data()).toEqual(Float32Array.of(1, 1, 1, 1, -Infinity, 1));
  endOfSequence(int32([3]), int32([]), 0, lengths, int32([0])); // lengths become 3
  program.run();
  expect(await scores.data()).toEqual(Float32Array.of(-Infinity, 1, -Infinity, 1, -Infinity, 1));
});

// ---- What does not fit

const x = () => tensor(new Float32Array(8), [2, 4]);
const one = processors.topK(1);
/** Not of the declared types, as callers from JavaScript may do. */
type Wrong = never;
const wrongCalls: [message: string, call: () => unknown][] = [
  ['logits must be a Tensor', () => processLogits([] as never, [])],
  ['logits must be float32', () => processLogits(int32([1], [1, 1]), [])],
  ['logits must have 2 axes', () => processLogits(tensor([1]), [])],
  ['logits have no tokens', () => processLogits(tensor([], [2, 0]), [])],
  ['chain must be an array', () => processLogits(x(), one as never)],
  ['chain[1] must be a LogitsProcessor', () => processLogits(x(), [one, 'topK'] as never)],
  ['unknown option "tokens"', () => processLogits(x(), [], { tokens: x() } as never)],
  ['rows must be int32', () => processLogits(x(), [], { rows: tensor([1]) })],
  ['repetitionPenalty needs history', () => processLogits(x(), [processors.repetitionPenalty(2)])],
  ['history needs lengths', () => processLogits(x(), [], { history: int32([1, 1], [2, 1]) })],
  [
    'history must have shape [2, 1]',
    () => processLogits(x(), [], { history: int32([1], [1, 1]), lengths: int32([1]) }),
  ],
  ['lengths must have shape [2]', () => processLogits(x(), [], { lengths: int32([1]) })],
  ['minNewTokens needs promptLengths', () => processLogits(x(), [processors.minNewTokens(1, [1])], short())],
  ['forcedEos needs maxLengths', () => processLogits(x(), [processors.forcedEos([1])], short())],
  ['encoderRepetitionPenalty needs source', () => processLogits(x(), [processors.encoderRepetitionPenalty(2)])],
  ['hammingDiversity needs groupTokens', () => processLogits(x(), [processors.hammingDiversity(2)])],
  ['xtc needs keys', () => processLogits(x(), [processors.xtc(1)])],
  ['mirostat needs mu', () => processLogits(x(), [processors.mirostat()])],
  ['mu must be float32', () => processLogits(x(), [processors.mirostat()], { mu: int32([1, 1]) })],
  ['bias of sequences needs history', () => processLogits(x(), [processors.bias([[[1, 2], 1]])])],
  ['suppress: token 4 is outside the vocabulary of 4', () => processLogits(x(), [processors.suppress([4])])],
  ['bias: token 9 is outside', () => processLogits(x(), [processors.bias([[[9], 1]])])],
  [
    '2 rows are no multiple of the 3 of source',
    () => processLogits(x(), [], { source: int32([1, 1, 1], [3, 1]), sourceLengths: int32([1, 1, 1]) }),
  ],
  ['[logitsProcessors.topK] k must be', () => processors.topK(0)],
  ['[logitsProcessors.topP] p must be', () => processors.topP(0)],
  ['[logitsProcessors.minP] minTokensToKeep must be', () => processors.minP(0.1, { minTokensToKeep: 0 })],
  ['[logitsProcessors.dry] base must be', () => processors.dry({ multiplier: 1, base: 0.5 })],
  ['[logitsProcessors.suppress] tokens[1] must be', () => processors.suppress([1, -1])],
  ['[logitsProcessors.bias] biases[0][1] must be', () => processors.bias([[[1], NaN]])],
  ['[logitsProcessors.bias] biases[0][0] must be', () => processors.bias([[[], 1]])],
  ['[logitsProcessors.temperature] temperature must be', () => processors.temperature(1e-60)],
  // What nobody knows is no option, and options are an object.
  ['[logitsProcessors.minP] unknown option "keep"', () => processors.minP(0.1, { keep: 2 } as Wrong)],
  ['[logitsProcessors.topP] options must be', () => processors.topP(0.9, null as Wrong)],
  ['[logitsProcessors.dry] multiplier must be', () => processors.dry(undefined as Wrong)],
  [
    '[logitsProcessors.frequencyPenalty] generatedOnly',
    () => processors.frequencyPenalty({ generatedOnly: 1 as Wrong }),
  ],
  [
    '[logitsProcessors.beginSuppress] afterForcedBos',
    () => processors.beginSuppress([1], { afterForcedBos: 1 as Wrong }),
  ],
  ['[logitsProcessors.repetitionPenalty] unknown option "n"', () => processors.repetitionPenalty(1, { n: 1 } as Wrong)],
  ['[processorsOf] options must be', () => processorsOf(undefined as Wrong)],
];
const short = () => ({ history: int32([1, 1], [2, 1]), lengths: int32([1, 1]) });

test.each(wrongCalls)('refused: %s', (message, call) => {
  expect(call).toThrow(message);
});

test.each([
  ['rows[1] must be in [0, 2) but got 2', { rows: int32([0, 2]) }],
  ['a length of sequence 1 is 2', { history: int32([1, 1], [2, 1]), lengths: int32([1, 2]) }],
  ['a length of sequence 0 is -1', { history: int32([1, 1], [2, 1]), lengths: int32([-1, 1]) }],
  ['a length of sequence 0 is 5', { source: int32([1, 1], [1, 2]), sourceLengths: int32([5]) }],
])('fails when it runs: %s', async (message, state: ProcessorState) => {
  await expect(processLogits(x(), [], state).data()).rejects.toMatchObject({
    name: 'RangeError',
    code: 'INDEX_OUT_OF_RANGE',
    message: expect.stringContaining(`[process_logits] ${message}`) as string,
  });
});
