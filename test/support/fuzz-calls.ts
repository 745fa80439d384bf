import * as heddle from '#lib/index';

const { tensor, nn, mask, bias } = heddle;

const floats = (...shape: number[]) => heddle.random.normal(shape, { seed: 1 });
const int32 = (values: number[], shape?: number[]) => tensor(values, shape, { dtype: 'int32' });
const bools = (...shape: number[]) => tensor(new Uint8Array(shape.reduce((a, b) => a * b, 1)).fill(1), shape);

/** Arguments of a call that succeeds, made afresh. */
type Valid = () => readonly unknown[];

const x: Valid = () => [floats(3, 4)];
const two: Valid = () => [floats(3, 4), floats(3, 4)];
const axis: Valid = () => [floats(3, 4), { axis: 0 }];
const heads = (length = 5) => floats(1, 2, length, 4);
const qkv = () => [heads(), heads(), heads()];
const init: Valid = () => [[4, 3], { seed: 1, gain: 2, dtype: 'float16' }];
const source = () => nn.initialParameters({ seed: 1 });
const sequences = () => floats(2, 5, 8);
const extent = { queries: 5, keys: 5, batch: 1, heads: 1, offset: 0 };

const layer = { width: 8, numHeads: 2, innerWidth: 12, activation: 'gelu', preNorm: true, eps: 1e-5, dropout: 0 };
const manyHeads = { width: 8, numHeads: 2, keyWidth: 8, valueWidth: 8, bias: true, projection: 'fused' };
const norm = { kind: 'layer', eps: 1e-5 };
const block = {
  ...{ width: 8, innerWidth: 12, numHeads: 2, numKvHeads: 2, headDim: 4, norm, activation: 'gelu', gated: false },
  ...{ projection: 'fused', attentionBias: true, feedForwardBias: true, attentionScale: 0.5 },
};
const decoder = {
  ...block,
  ...{ vocabSize: 11, contextLength: 16, numLayers: 1, tiedHead: true, positions: 'learned', attentionScale: () => 1 },
};
const rotary = { base: 10_000, rotaryWidth: 4, scaling: { kind: 'linear', factor: 2 } };
const encoder = {
  ...{
    vocabSize: 11,
    contextLength: 16,
    width: 8,
    innerWidth: 12,
    numLayers: 1,
    numHeads: 2,
    norm,
    activation: 'gelu',
  },
  ...{ numTypes: 2, positions: 'learned', head: { kind: 'none', pooler: true } },
};
const cacheOptions = { numLayers: 1, batch: 1, capacity: 8, numKvHeads: 2, headDim: 4, valueDim: 4, dtype: 'float32' };
const makeCache = () => new heddle.KVCache(cacheOptions as heddle.KVCacheOptions);
/** Five tokens of one sequence. */
const step = () => ({ positions: int32([0, 1, 2, 3, 4]), cuSeqlens: int32([0, 5]), cache: makeCache() });
const encoderStep = () => ({ batch: 1, length: 5, tokens: undefined, isToken: () => true });
const pass = { training: true, mcDropout: false, seed: 3 };
const generation = {
  ...{ maxNewTokens: 2, temperature: 0.9, topK: 5, topP: 0.9, seed: 1, doSample: true, stopStrings: ['zz'] },
  ...{ eosTokenId: null, padTokenId: 0, prefillChunkSize: 8 },
};

/** By name, as 'mask.causal', 'Tensor.reshape' or 'nn.Linear': of a class, what its constructor takes. */
export const VALID: Readonly<Record<string, Valid>> = {
  activation: () => [floats(3, 4), 'relu'],
  gated: () => [floats(3, 4), floats(3, 4), { activation: 'silu' }],
  gelu: () => [floats(3, 4), { approximate: 'tanh' }],
  silu: () => [floats(3, 4), { alpha: 1.7 }],
  ...{ relu: x, sigmoid: x, tanh: x, abs: x, exp: x, log: x, neg: x, sqrt: x, argmax: x, packWeight: x },
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
  embedding: () => [floats(6, 4), int32([0, 5, 2])],
  gatherRows: () => [floats(6, 4), int32([0, 5, -1])],
  KVCache: () => [cacheOptions],
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
    floats(5, 4),
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
  rope: () => [floats(3, 2, 4), int32([0, 1, 2]), floats(2), { factor: 1, interleaved: true }],
  rotate: () => [heads(), floats(9, 2), floats(9, 2), { positions: int32([0, 1, 2, 3, 8], [1, 5]), interleaved: true }],
  sample: () => [floats(2, 9), { temperature: 0.9, topK: 4, topP: 0.9, seed: 1, step: 2 }],
  scatterRows: () => [floats(6, 4), int32([0, 5]), floats(2, 4)],
  tensorScatter: () => [floats(1, 2, 5, 4), floats(1, 2, 1, 4), int32([3]), { axis: 2, mode: 'circular' }],
  topK: () => [floats(3, 4), 2, { axis: 0, largest: false, sorted: true }],
  where: () => [bools(3, 1), floats(3, 4), floats(4)],
  attentionMap: () => [floats(2, 3), ['a', 'b'], { keyTokens: ['a', 'b', 'c'], title: 'x' }],
  loadModel: () => ['builtin:shakespeare', { device: 'cpu', dtype: 'float16', onProgress: () => undefined }],
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
  'Model.generate': () => [['to be', 'or'], generation],
  'Model.stream': () => ['to be', generation],
  'Model.score': () => [['to be', 'or not'], {}],
  'Model.info': () => [{ batch: 2, length: 16, memory: 2 ** 30 }],
  'Model.forward': () => [{ ids: [1, 2, 3], mask: [1, 1, 1], positions: [0, 1, 2], capture: ['layers.0'] }],
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

  'nn.init.normal': () => [[3, 4], { mean: 0, std: 2, seed: 1 }],
  ...{ 'nn.init.xavierUniform': init, 'nn.init.xavierNormal': init, 'nn.init.orthogonal': init },
  'nn.initialParameters': () => [{ seed: 1, dtype: 'float16', device: 'cpu' }],
  'nn.parameters': () => [{ weight: floats(3, 4) }, { device: 'cpu' }],
  'nn.sinusoidalPositions': () => [{ length: 5, dim: 4, layout: 'halves', paddingIdx: 0, base: 100 }],
  'nn.rotaryTables': () => [rotary, 5],
  'nn.Rotary': () => [rotary, 'cpu'],
  'nn.Rotary.rotation': () => [int32([4])],
  'nn.Capture': () => [['q', 'k']],
  'nn.Capture.wants': () => ['q'],
  'nn.Capture.offer': () => ['q', floats(2)],
  'nn.Capture.holds': () => [floats(2)],
  'nn.Draws': () => [3],
  'nn.Draws.next': () => [],
  'nn.Linear': () => [floats(5, 8), floats(5)],
  'nn.Linear.load': () => [source(), 'linear', [5, 8], true],
  'nn.Linear.forward': () => [sequences(), { activation: 'gelu', residual: floats(2, 5, 5), outDtype: 'float32' }],
  'nn.Norm': () => [norm, floats(8), floats(8)],
  'nn.Norm.load': () => [source(), 'norm', 8, norm],
  'nn.Norm.forward': () => [sequences()],
  'nn.LayerNorm': () => [source(), 'norm', { width: 8, eps: 1e-5, bias: true, unbiased: false }],
  'nn.LayerNorm.forward': () => [sequences()],
  'nn.RMSNorm': () => [source(), 'norm', { width: 8, eps: 1e-5 }],
  'nn.RMSNorm.forward': () => [sequences()],
  'nn.Embedding': () => [floats(11, 8)],
  'nn.Embedding.forward': () => [int32([0, 10, 3])],
  'nn.TokenEmbedding': () => [
    source(),
    'embedding',
    { vocabSize: 11, width: 8, scaled: true, positions: 'learned', maxPositions: 16, dropout: 0.1 },
  ],
  'nn.TokenEmbedding.forward': () => [int32([0, 10, 3], [1, 3]), { offset: 1, ...pass }],
  'nn.TokenEmbedding.logits': () => [sequences()],
  'nn.MultiHeadAttention': () => [source(), 'attention', { ...manyHeads, dropout: 0.1 }],
  'nn.MultiHeadAttention.forward': () => [
    sequences(),
    { keys: sequences(), values: sequences(), mask: mask.causal(), bias: bias.alibi(2), returnWeights: true, ...pass },
  ],
  'nn.MultiHeadAttention.step': () => [
    floats(5, 8),
    { cache: makeCache(), layer: 0, cuSeqlens: int32([0, 5]), mask: mask.causal(), bias: bias.alibi(2) },
  ],
  'nn.BahdanauAttention': () => [source(), 'attention', { queryWidth: 8, keyWidth: 8, width: 6, bias: true }],
  'nn.BahdanauAttention.forward': () => [sequences(), sequences(), { values: sequences(), mask: mask.causal() }],
  'nn.LuongAttention': () => [
    source(),
    'attention',
    { score: 'local-p', queryWidth: 8, keyWidth: 8, width: 6, windowSize: 3 },
  ],
  'nn.LuongAttention.forward': () => [sequences(), sequences(), { values: sequences(), mask: mask.causal() }],
  'nn.PerformerAttention': () => [
    source(),
    'attention',
    { ...manyHeads, kernel: 'softmax', causal: true, numFeatures: 6, seed: 1, storedFeatures: false },
  ],
  'nn.PerformerAttention.redraw': () => [3],
  'nn.PerformerAttention.forward': () => [sequences(), { keys: sequences(), values: sequences(), padding: [4, 5] }],
  'nn.LinformerAttention': () => [source(), 'attention', { ...manyHeads, maxLength: 5, numProjected: 3, shared: true }],
  'nn.LinformerAttention.forward': () => [sequences(), { keys: sequences(), values: sequences() }],
  'nn.TransformerEncoderLayer': () => [source(), 'layer', layer],
  'nn.TransformerEncoderLayer.forward': () => [sequences(), { mask: mask.causal(), bias: bias.alibi(2), ...pass }],
  'nn.TransformerDecoderLayer': () => [source(), 'layer', layer],
  'nn.TransformerDecoderLayer.forward': () => [
    sequences(),
    sequences(),
    { mask: mask.causal(), bias: bias.alibi(2), memoryMask: mask.causal(), ...pass },
  ],
  'nn.Transformer': () => [source(), '', { ...layer, numEncoderLayers: 1, numDecoderLayers: 1, finalNorm: true }],
  'nn.Transformer.encode': () => [sequences(), { mask: mask.causal(), ...pass }],
  'nn.Transformer.decode': () => [sequences(), sequences(), { mask: mask.causal(), ...pass }],
  'nn.Transformer.forward': () => [
    sequences(),
    sequences(),
    { sourceMask: mask.causal(), targetMask: mask.causal(), memoryMask: mask.causal(), ...pass },
  ],
  'nn.HeadProjections': () => [source(), 'attention', block],
  'nn.HeadProjections.project': () => [floats(5, 8)],
  'nn.HeadProjections.merge': () => [floats(5, 8), floats(5, 8)],
  'nn.SelfAttention': () => [source(), 'attention', 0, block],
  'nn.SelfAttention.forward': () => [floats(5, 8), floats(5, 8), step()],
  'nn.FeedForward': () => [source(), 'feed', block],
  'nn.FeedForward.forward': () => [floats(5, 8), floats(5, 8)],
  'nn.TransformerBlock': () => [source(), 'block', 0, block],
  'nn.TransformerBlock.forward': () => [floats(5, 8), step()],
  'nn.Decoder': () => [source(), decoder],
  'nn.Decoder.createCache': () => [1, 8],
  'nn.Decoder.positionsOf': () => [[1, 2]],
  'nn.Decoder.forward': () => [{ ids: int32([1, 2, 3, 4, 5]), ...step() }],
  'nn.BertSelfAttention': () => [
    source(),
    'attention',
    { width: 8, numHeads: 2, relative: 'relativeKey', contextLength: 16 },
  ],
  'nn.BertSelfAttention.forward': () => [floats(5, 8), encoderStep()],
  'nn.LongformerAttention': () => [source(), 'attention', { width: 8, numHeads: 2, side: 2, multiple: 5 }],
  'nn.LongformerAttention.forward': () => [floats(5, 8), encoderStep()],
  'nn.Encoder': () => [source(), encoder],
  'nn.Encoder.positionsOf': () => [[1, 2]],
  'nn.Encoder.forward': () => [
    { ids: int32([1, 2, 3, 4, 5]), positions: int32([0, 1, 2, 3, 4]), types: int32([0, 0, 0, 0, 0]), ...encoderStep() },
  ],
};
