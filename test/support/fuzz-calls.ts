import * as heddle from '#lib/index';
import { cacheOptions, floats, int32, type Valid } from './fuzz-arguments';
import { VALID_LAYERS } from './fuzz-layers';

const { tensor, mask, bias } = heddle;

const bools = (...shape: number[]) => tensor(new Uint8Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);

const x: Valid = () => [floats(3, 4)];
const two: Valid = () => [floats(3, 4), floats(3, 4)];
const axis: Valid = () => [floats(3, 4), { axis: 0 }];
const heads = (length = 5) => floats(1, 2, length, 4);
const qkv = () => [heads(), heads(), heads()];
const extent = { queries: 5, keys: 5, batch: 1, heads: 1, offset: 0 };

const scores = () => floats(2, 9);
/** What a chain of processors may need. */
const state = () => ({
  ...{ rows: int32([0, 1]), history: int32([1, 2, 3, 4, 5, 6], [2, 3]), lengths: int32([3, 2]) },
  ...{ promptLengths: int32([1, 1]), maxLengths: int32([9, 9]), source: int32([1, 2], [1, 2]) },
  ...{ sourceLengths: int32([2]), groupTokens: int32([1], [1, 1]), keys: int32([1, 2, 3, 4, 5, 6], [2, 3]) },
  ...{ steps: int32([0, 1]), mu: heddle.tensor([5, 5]) },
});
const { logitsProcessors } = heddle;
const chain = () => [
  logitsProcessors.repetitionPenalty(1.3),
  logitsProcessors.dry({ multiplier: 1 }),
  logitsProcessors.bias([[[1, 2], 0.5]]),
  logitsProcessors.typicalP(0.9),
  logitsProcessors.xtc(0.5),
];
const processorOptions = {
  ...{ repetitionPenalty: 1.2, noRepeatNgramSize: 2, minLength: 3, badWordsIds: [[1, 2]], suppressTokens: [4] },
  ...{ frequencyPenalty: 0.1, presencePenalty: 0.1, dryMultiplier: 0.5, xtcProbability: 0.5, minP: 0.05 },
  ...{ logitBias: { 3: 1 }, exponentialDecayLengthPenalty: [1, 1.1], forcedEosTokenId: 2, mirostat: 0 },
};
const beams = { maxNewTokens: 3, numBeams: 4, numReturnSequences: 2, lengthPenalty: 0.8, earlyStopping: true };
const sampling = {
  ...{ maxNewTokens: 2, temperature: 0.9, topK: 5, topP: 0.9, seed: 1, doSample: true, stopStrings: ['zz'] },
  ...{ eosTokenId: null, padTokenId: 0, prefillChunkSize: 8 },
};

let turn = 0;
const quantized = () => heddle.packWeight(floats(5, 4), { quantize: 'int8' });
const generation = () => (++turn % 2 === 0 ? sampling : beams);
const token: Valid = () => [[1, 2]];
const share: Valid = () => [0.5, { minTokensToKeep: 2 }];
const penalty: Valid = () => [1.3, { lastN: 4 }];

/** By name, as 'mask.causal', 'Tensor.reshape' or 'nn.Linear': of a class, what its constructor takes. */
export const VALID: Readonly<Record<string, Valid>> = {
  activation: () => [floats(3, 4), 'relu'],
  gated: () => [floats(3, 4), floats(3, 4), { activation: 'silu' }],
  gelu: () => [floats(3, 4), { approximate: 'tanh' }],
  silu: () => [floats(3, 4), { alpha: 1.7 }],
  ...{ relu: x, sigmoid: x, tanh: x, abs: x, exp: x, log: x, neg: x, sqrt: x, argmax: x },
  ...{ add: two, sub: two, mul: two, div: two, maximum: two, minimum: two },
  ...{ softmax: axis, logSoftmax: axis, sum: axis, mean: axis, logSumExp: axis },
  attention: () => [
    ...qkv(),
    {
      ...{ mask: mask.causal().and(mask.slidingWindow(3)), bias: bias.alibi(2), scale: 0.5, softcap: 9 },
      ...{ sinks: floats(2), queryOffset: [0], returnLse: true, returnWeights: { heads: [0], rows: [1] } },
    },
  ],
  'bias.alibiSlopes': () => [4, { biasMax: 8 }],
  'bias.alibi': () => [[0.5, 0.25], { symmetric: true, queryPositions: int32([0, 1, 2, 3, 4]) }],
  'bias.relative': () => [{ keys: floats(9, 4), queries: floats(9, 4), values: floats(9, 4) }],
  'bias.t5': () => [floats(8, 2), { bidirectional: true, maxDistance: 16 }],
  'bias.dense': () => [floats(1, 2, 5, 5)],
  'Bias.plus': () => [bias.dense(floats(1, 1, 5, 5))],
  t5Bucket: () => [-3, { bidirectional: true, numBuckets: 8, maxDistance: 16 }],
  debertaBucket: () => [-3, { bucketSize: 8, maxPosition: 32 }],
  cast: () => [floats(3, 4), 'bfloat16'],
  concat: () => [[floats(3, 4), floats(3, 2)], { axis: 1 }],
  crossEntropy: () => [floats(2, 4), int32([0, 3]), { ignoreIndex: 1, labelSmoothing: 0.1, reduction: 'none' }],
  embedding: () =>
    ++turn % 2 === 0 ? [floats(6, 4), int32([0, 5, 2])] : [quantized(), int32([0, 4]), { dtype: 'float16' }],
  gatherRows: () => [floats(6, 4), int32([0, 5, -1])],
  KVCache: () => [cacheOptions],
  'KVCache.reorder': () => [int32([0, 0]), 2],
  'KVCache.repeat': () => [2],
  processLogits: () => [scores(), chain(), state()],
  processorsOf: () => [processorOptions, { order: 'hf', eosTokenIds: [2], minTokensToKeep: 2, logSoftmax: true }],
  'logitsProcessors.bias': () => [[[[1, 2], 0.5]]],
  ...{ 'logitsProcessors.repetitionPenalty': penalty, 'logitsProcessors.encoderRepetitionPenalty': penalty },
  'logitsProcessors.frequencyPenalty': () => [{ frequency: 0.5, presence: 0.5, lastN: 4, generatedOnly: true }],
  ...{ 'logitsProcessors.hammingDiversity': penalty, 'logitsProcessors.topNSigma': penalty },
  ...{ 'logitsProcessors.noRepeatNgram': () => [2], 'logitsProcessors.encoderNoRepeatNgram': () => [2] },
  'logitsProcessors.dry': () => [{ multiplier: 1, base: 1.7, allowedLength: 2, lastN: 9, sequenceBreakers: [1] }],
  ...{ 'logitsProcessors.minLength': () => [3, [1, 2]], 'logitsProcessors.minNewTokens': () => [3, [1, 2]] },
  ...{ 'logitsProcessors.forcedBos': () => [1], 'logitsProcessors.forcedEos': token },
  ...{ 'logitsProcessors.suppress': token, 'logitsProcessors.beginSuppress': () => [[1], { afterForcedBos: true }] },
  'logitsProcessors.exponentialDecay': () => [3, 1.1, [1, 2]],
  ...{ 'logitsProcessors.temperature': () => [0.7], 'logitsProcessors.topK': () => [3] },
  'logitsProcessors.dynamicTemperature': () => [0.5, 1.5, { exponent: 1 }],
  ...{ 'logitsProcessors.topP': share, 'logitsProcessors.minP': share, 'logitsProcessors.typicalP': share },
  ...{ 'logitsProcessors.epsilonCutoff': share, 'logitsProcessors.etaCutoff': share },
  'logitsProcessors.xtc': () => [0.5, 0.1],
  'KVCache.layer': () => [0],
  'KVCache.append': () => [0, floats(4, 1, 4), floats(4, 1, 4), int32([0, 2, 4])],
  'KVCache.advance': () => [int32([0, 2, 4])],
  linearAttention: () => [...qkv(), { features: 'elu+1', causal: true, eps: 1e-6, padding: [4], returnState: true }],
  recurrentAttention: () => [
    ...qkv(),
    {
      ...{ decay: heads(), beta: floats(1, 2, 5), erase: heads(), scale: 0.5, padding: int32([4]) },
      ...{ state: floats(1, 2, 4, 4), returnState: true },
    },
  ],
  orthogonalFeatures: () => [{ headDim: 4, numFeatures: 6, seed: 2 }],
  favorFeatures: () => [heads(), floats(6, 4), { kernel: 'softmax', role: 'key', eps: 1e-4, padding: bools(1, 5) }],
  performerAttention: () => [...qkv(), { numFeatures: 6, seed: 2, kernel: 'relu', causal: true, padding: [4] }],
  cosineAttention: () => [...qkv(), { scale: 3, mask: mask.causal() }],
  linformerAttention: () => [...qkv(), { keyProjection: floats(3, 5), valueProjection: floats(3, 5), scale: 1 }],
  localAttention: () => [heads(6), heads(6), heads(6), { blockSize: 3, causal: true, scale: 1 }],
  dropout: () => [floats(3, 4), { p: 0.5, seed: 1, step: 2 }],
  'random.uniform': () => [[3, 4], { low: 0, high: 2, seed: 1, step: int32([1]), dtype: 'float16' }],
  'random.normal': () => [[3, 4], { mean: 0, std: 2, seed: 1, step: 4, dtype: 'float16' }],
  layerNorm: () => [
    floats(3, 4),
    { weight: floats(4), bias: floats(4), eps: 1e-5, residual: floats(3, 4), unbiased: true, returnStats: true },
  ],
  rmsNorm: () => [floats(3, 4), { weight: floats(4), eps: 1e-5, offset: 1, residual: floats(3, 4), axis: -1 }],
  linear: () => [
    floats(3, 4),
    ++turn % 2 === 0 ? floats(5, 4) : quantized(),
    { bias: floats(5), residual: floats(3, 5), activation: 'gelu', outDtype: 'float32' },
  ],
  'mask.causal': () => [{ align: 'top-left' }],
  'mask.slidingWindow': () => [2, 3],
  'mask.dilated': () => [4, 2],
  'mask.strided': () => [3],
  'mask.fixed': () => [4, 2],
  'mask.random': () => [1, 3],
  'mask.bigBird': () => [64, { blockSize: 8, windowBlocks: 3, globalBlocks: 1, randomBlocks: 1, seed: 1 }],
  'mask.padding': () => [[3], { side: 'left' }],
  'mask.prefix': () => [[3]],
  'mask.documents': () => [[0, 0, 1, 1, 1]],
  'mask.globalTokens': () => [[0, 2]],
  'mask.blocks': () => [[[1, 0], [1, 1]], 3], // prettier-ignore
  'mask.tree': () => [[-1, 0, 0, 1]],
  'mask.dense': () => [bools(1, 1, 5, 5)],
  'Mask.and': () => [mask.slidingWindow(3)],
  'Mask.or': () => [mask.globalTokens([0])],
  'Mask.not': () => [],
  'Mask.toArray': () => [extent],
  'Mask.toSVG': () => [{ ...extent, title: 'a mask' }],
  'Mask.describe': () => [extent],
  matmul: () => [floats(2, 3, 4), floats(4, 5)],
  packWeight: () => [floats(3, 4), { quantize: 'int4' }],
  rope: () => [floats(3, 2, 4), int32([0, 1, 2]), floats(2), { factor: 1, interleaved: true }],
  rotate: () => [heads(), floats(9, 2), floats(9, 2), { positions: int32([0, 1, 2, 3, 8], [1, 5]), interleaved: true }],
  sample: () => [floats(2, 9), { temperature: 0.9, topK: 4, topP: 0.9, seed: 1, step: 2 }],
  scatterRows: () => [floats(6, 4), int32([0, 5]), floats(2, 4)],
  tensorScatter: () => [floats(1, 2, 5, 4), floats(1, 2, 1, 4), int32([3]), { axis: 2, mode: 'circular' }],
  topK: () => [floats(3, 4), 2, { axis: 0, largest: false, sorted: true }],
  where: () => [bools(3, 1), floats(3, 4), floats(4)],
  attentionMap: () => [floats(2, 3), ['a', 'b'], { keyTokens: ['a', 'b', 'c'], title: 'x' }],
  loadModel: () => [
    'builtin:shakespeare',
    { device: 'cpu', dtype: 'float16', quantize: 'int8', onProgress: () => undefined },
  ],
  defaultDevice: () => [],
  devices: () => [],
  memory: () => ['cpu'],
  setDefaultDevice: () => ['cpu'],
  setMemoryLimit: () => [2 ** 30, 'cpu'],
  setNumThreads: () => [2],
  sync: () => [],
  trimMemory: () => ['cpu'],
  scope: () => [() => tensor([1])],
  tensor: () => [new Float32Array(12), [3, 4], { dtype: 'float16', device: 'cpu' }],
  QueueFullError: () => ['full'],
  'Tensor.data': () => [],
  'Tensor.bytes': () => [],
  'Tensor.ready': () => [],
  'Tensor.dispose': () => [],
  'Tensor.to': () => ['cpu'],
  'Tensor.reshape': () => [[-1]],
  'Tensor.slice': () => [0, 0, 1],
  'Tensor.transpose': () => [0, 0],
  'Model.generate': () => [['to be', 'or'], generation()],
  'Model.stream': () => ['to be', generation()],
  'Model.score': () => [['to be', 'or not'], {}],
  'Model.info': () => [{ batch: 2, length: 16, memory: 2 ** 30 }],
  'Model.forward': () => [{ ids: [1, 2, 3], mask: [1, 1, 1], positions: [0, 1, 2], capture: ['layers.0'] }],
  'Session.generate': () => ['to be', { maxNewTokens: 3, temperature: 0.9, seed: 1 }],
  'Session.stream': () => [[1, 2], { maxNewTokens: 3 }],
  'Session.rewind': () => [0],
  Detokenizer: () => [],
  'Detokenizer.push': () => [1],
  'Detokenizer.flush': () => [],
  'Tokenizer.load': () => ['models/shakespeare'],
  'Tokenizer.encode': () => ['to be', { addSpecialTokens: false }],
  'Tokenizer.decode': () => [[1, 2], { skipSpecialTokens: true }],
  'Tokenizer.tokenToId': () => ['e'],
  'Tokenizer.idToToken': () => [1],
  'Tokenizer.isSpecial': () => [1],
  'Tokenizer.checkId': () => ['token', 1],

  ...VALID_LAYERS,
};
