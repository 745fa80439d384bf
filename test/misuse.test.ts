import * as heddle from '#lib/index';
import { runModule } from './support/child';

const { tensor, nn } = heddle;
const int32 = (values: number[], shape?: number[]) => tensor(values, shape, { dtype: 'int32' });
const floats = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);

const x = floats(2, 3);
const ids = int32([0, 1]);
const truth = tensor(Uint8Array.of(1));
const packed = heddle.packWeight(floats(4, 3));
const half = (...shape: number[]) => heddle.cast(floats(...shape), 'bfloat16');
const gone = floats(2, 3);
gone.dispose();
const q = floats(1, 2, 3, 4);
const cacheOptions = { numLayers: 1, batch: 1, capacity: 8, numKvHeads: 1, headDim: 4 };
const cache = new heddle.KVCache(cacheOptions);
const token = floats(1, 1, 4);
const cuSeqlens = int32([0, 1]);

/** Not of the declared types, as callers from JavaScript may do. */
type Wrong = never;
const functions = heddle as unknown as Record<string, (...values: unknown[]) => unknown>;
const KVCache = heddle.KVCache as unknown as new (...values: unknown[]) => unknown;
const call = (name: string, ...values: unknown[]): [string, () => unknown] => [name, () => functions[name]!(...values)];

const layers = nn as unknown as Record<string, new (...values: unknown[]) => unknown>;
const make = (name: string, ...values: unknown[]): [string, () => unknown] => [
  name,
  () => new layers[name]!(...values),
];
const plainRotary: heddle.nn.RotaryOptions = { base: 2, rotaryWidth: 4, scaling: { kind: 'default' } };
const rotary = (scaling: unknown) => make('Rotary', { ...plainRotary, scaling });

/** A name that the message must have (either case), the call, and the argument that it must name. */
type Row = [name: string, run: () => unknown, argument: string];
const rows = (argument: string, ...calls: [string, () => unknown][]) =>
  calls.map(([name, run]): Row => [name, run, argument]);

const nan = NaN;
const table: Row[] = [
  // Each op: no tensor, a disposed one, another dtype, a packed one, a shape that does not fit.
  ...rows(
    'a',
    call('add'),
    call('add', '1', x),
    call('add', 1, 1),
    call('add', gone, x),
    call('add', ids, x),
    call('add', packed, x),
  ),
  ...rows('b', call('add', x), call('add', x, null), call('add', x, gone), call('add', x, ids)),
  ...rows('shapes', call('add', x, floats(4, 4))),
  ...(['sub', 'mul', 'div', 'maximum', 'minimum'] as const).flatMap((name) => [
    ...rows('a', call(name), call(name, '1', x), call(name, 1, 2), call(name, gone, x), call(name, ids, x)),
    ...rows('b', call(name, x), call(name, x, null), call(name, x, gone), call(name, x, half(2, 3))),
    ...rows('shapes', call(name, x, floats(4, 4))),
  ]),
  ...rows('disposed', call('mul', gone, 2), call('mul', 2, gone)),
  ...(
    ['exp', 'log', 'sqrt', 'neg', 'abs', 'tanh', 'sigmoid', 'relu', 'silu', 'sum', 'mean', 'logSumExp'] as const
  ).flatMap((name) => rows('x', call(name), call(name, 1), call(name, gone), call(name, ids), call(name, packed))),
  ...rows('alpha', call('silu', x, { alpha: nan }), call('silu', x, { alpha: '1' }), call('silu', x, { alpha: 1e39 })),
  ...rows('x', call('activation'), call('activation', gone, 'relu'), call('activation', ids, 'relu')),
  ...rows('name', call('activation', x), call('activation', x, 'unknown'), call('activation', x, 4)),
  ...rows('condition', call('where'), call('where', x, x, x), call('where', gone, x, x), call('where', 1, x, x)),
  ...rows('a', call('where', truth), call('where', truth, gone, x), call('where', truth, packed, x)),
  ...rows('b', call('where', truth, x), call('where', truth, x, ids), call('where', truth, x, gone)),
  ...rows('shapes', call('where', truth, x, floats(4, 4))),
  ...rows('a', call('matmul'), call('matmul', gone, x), call('matmul', ids, x), call('matmul', packed, x)),
  ...rows('b', call('matmul', x), call('matmul', x, half(3, 2)), call('matmul', x, floats(3))),
  ...rows('shapes', call('matmul', x, x), call('matmul', floats(2, 2, 3), floats(3, 3, 1))),
  ...rows('x', call('topK'), call('topK', gone, 1), call('topK', truth, 1), call('topK', packed, 1)),
  ...rows('k', call('topK', x), call('topK', x, 4), call('topK', x, -1), call('topK', x, 1.5), call('topK', x, '1')),
  ...rows('largest', call('topK', x, 1, { largest: 1 }), call('topK', x, 1, { largest: null })),
  ...rows('sorted', call('topK', x, 1, { sorted: 'no' })),
  ...rows(
    'axis',
    call('topK', x, 1, { axis: 2 }),
    call('concat', [x], { axis: 2 }),
    call('concat', [x], { axis: '0' }),
  ),
  ...rows('tensors', call('concat'), call('concat', x), call('concat', []), call('concat', [packed])),
  ...rows('tensors[1]', call('concat', [x, gone]), call('concat', [x, 1]), call('concat', [x, ids])),
  ...rows('tensors[1]', call('concat', [x, floats(2, 4)]), call('concat', [x, floats(2)])),
  ...rows('x', call('scatterRows'), call('scatterRows', gone, ids, x), call('scatterRows', q, ids, x)),
  ...rows('index', call('scatterRows', x), call('scatterRows', x, x, x), call('scatterRows', x, int32([0], [1, 1]), x)),
  ...rows('rows', call('scatterRows', x, ids), call('scatterRows', x, ids, floats(2, 4))),
  ...rows('rows', call('scatterRows', x, ids, half(2, 3)), call('scatterRows', x, ids, gone)),
  ...rows('cache', call('tensorScatter'), call('tensorScatter', gone, x), call('tensorScatter', packed, x)),
  ...rows('update', call('tensorScatter', q), call('tensorScatter', q, x), call('tensorScatter', q, half(1, 2, 3, 4))),
  ...rows('writeIndices', call('tensorScatter', q, q, x), call('tensorScatter', q, q, ids)),
  ...rows('axis', call('tensorScatter', q, q, int32([0]), { axis: 0 })),
  ...rows('mode', call('tensorScatter', q, q, int32([0]), { mode: 'round' })),
  ...rows('x', call('rotate'), call('rotate', x, x, x), call('rotate', gone, x, x), call('rotate', ids, x, x)),
  ...rows('cos', call('rotate', q), call('rotate', q, x, x), call('rotate', q, ids, ids), call('rotate', q, gone, x)),
  ...rows('sin', call('rotate', q, floats(3, 2)), call('rotate', q, floats(3, 2), floats(3, 1))),
  ...rows('positions', call('rotate', q, x, x, { positions: 1 }), call('rotate', q, x, x, { positions: ids })),
  ...rows('interleaved', call('rotate', q, floats(3, 2), floats(3, 2), { interleaved: 1 })),
  ...(['softmax', 'logSoftmax', 'sum', 'mean', 'logSumExp', 'layerNorm', 'rmsNorm'] as const).flatMap((name) =>
    rows('axis', ...[2, -3, 0.5, '1', null, nan].map((axis) => call(name, x, { axis }))),
  ),
  ...(['sum', 'mean', 'logSumExp'] as const).flatMap((name) =>
    rows('keepAxis', call(name, x, { keepAxis: 1 }), call(name, x, { keepAxis: null })),
  ),
  ...rows('unbiased', call('layerNorm', x, { unbiased: 1 }), call('layerNorm', x, { unbiased: null })),
  ...rows('returnStats', call('layerNorm', x, { returnStats: 1 }), call('layerNorm', x, { returnStats: 'yes' })),
  ...rows('weight', call('layerNorm', x, { weight: floats(3), axis: 0 }), call('rmsNorm', x, { weight: x })),
  ...rows('logits', call('crossEntropy'), call('crossEntropy', gone, ids), call('crossEntropy', ids, ids)),
  ...rows('labels', call('crossEntropy', x), call('crossEntropy', x, x), call('crossEntropy', x, int32([0]))),
  ...rows('ignoreIndex', call('crossEntropy', x, ids, { ignoreIndex: 2 ** 31 })),
  ...rows('labelSmoothing', call('crossEntropy', x, ids, { labelSmoothing: -1 })),
  ...rows('reduction', call('crossEntropy', x, ids, { reduction: 'sum' })),
  ...rows('x', call('gelu'), call('gelu', gone), call('gelu', ids), call('gelu', packed)),
  ...rows('options', call('gelu', x, 7), call('gelu', x, null), call('gelu', x, x), call('gelu', x, [])),
  ...rows('approximate', call('gelu', x, { approximate: 'tan' }), call('gelu', x, { approximate: null })),
  ...rows('fast', call('gelu', x, { fast: true }), call('linear', x, x, { fast: 1 }), call('sample', x, { fast: 1 })),
  ...rows('table', call('embedding', 'x', ids), call('embedding', gone, ids), call('embedding', ids, ids)),
  ...rows('table', call('embedding', q, ids)),
  ...rows('ids', call('embedding', x), call('embedding', x, [1]), call('embedding', x, x), call('embedding', x, gone)),
  ...rows('ids', call('embedding', x, int32([0], [1, 1, 1, 1, 1, 1]))),
  ...rows('x', call('gatherRows', {}, ids), call('gatherRows', gone, ids), call('gatherRows', q, ids)),
  ...rows('index', call('gatherRows', x, 0), call('gatherRows', x, x), call('gatherRows', x, int32([0, 1], [1, 2]))),
  ...rows('x', call('linear', null, x), call('linear', gone, x), call('linear', floats(2, 5), x)),
  ...rows('weight', call('linear', x), call('linear', x, gone), call('linear', x, ids), call('linear', x, q)),
  ...rows('bias', call('linear', x, x, { bias: 1 }), call('linear', x, x, { bias: null })),
  ...rows('bias', call('linear', x, x, { bias: floats(3) }), call('linear', x, x, { bias: gone })),
  ...rows('residual', call('linear', x, x, { residual: [] }), call('linear', x, x, { residual: x })),
  ...rows('activation', call('linear', x, x, { activation: 'unknown' }), call('linear', x, x, { activation: 1 })),
  ...rows('options', call('linear', x, x, x), call('layerNorm', x, x), call('sample', x, x)),
  ...rows('weight', call('packWeight'), call('packWeight', gone), call('packWeight', ids), call('packWeight', q)),
  ...rows('weight', call('packWeight', packed)),
  ...rows('x', call('layerNorm'), call('layerNorm', gone), call('layerNorm', ids), call('layerNorm', packed)),
  ...rows('x', call('layerNorm', tensor([1], []))),
  ...rows('weight', call('layerNorm', x, { weight: 3 }), call('layerNorm', x, { weight: floats(2) })),
  ...rows('bias', call('layerNorm', x, { bias: 3 }), call('layerNorm', x, { bias: ids })),
  ...rows('residual', call('layerNorm', x, { residual: 3 }), call('layerNorm', x, { residual: floats(3) })),
  ...rows('eps', call('layerNorm', x, { eps: -1 }), call('layerNorm', x, { eps: nan })),
  ...rows('eps', call('layerNorm', x, { eps: '1' }), call('layerNorm', x, { eps: Infinity })),
  ...rows('x', call('softmax'), call('softmax', gone), call('softmax', ids), call('softmax', packed)),
  ...rows('x', call('logSoftmax'), call('logSoftmax', gone), call('logSoftmax', ids)),
  ...rows('x', call('argmax'), call('argmax', gone), call('argmax', ids), call('argmax', floats(2, 0))),
  ...rows('logits', call('sample'), call('sample', gone), call('sample', ids), call('sample', floats(3))),
  ...rows('logits', call('sample', floats(2, 0)), call('sample', floats(1, 1, 1)), call('sample', packed)),
  ...(['temperature', 'topK', 'topP', 'seed', 'step'] as const).flatMap((option) =>
    [nan, -1, '1', null, Infinity].flatMap((value) => rows(option, call('sample', x, { [option]: value }))),
  ),
  ...(['minP', 'typicalP', 'epsilonCutoff', 'etaCutoff', 'topNSigma'] as const).flatMap((option) =>
    [nan, -1, '1', null, Infinity].flatMap((value) => rows(option, call('sample', x, { [option]: value }))),
  ),
  ...rows('logits', call('processLogits', 1, []), call('processLogits', gone, []), call('processLogits', ids, [])),
  ...rows('logits', call('processLogits', floats(2, 0), []), call('processLogits', packed, [])),
  ...rows('chain', call('processLogits', x), call('processLogits', x, null), call('processLogits', x, [1])),
  ...rows('options', call('processLogits', x, [], 1), call('processLogits', x, [], x)),
  ...(['rows', 'lengths', 'promptLengths', 'maxLengths', 'steps'] as const).flatMap((key) =>
    [1, null, gone, x].flatMap((value) => rows(key, call('processLogits', x, [], { [key]: value }))),
  ),
  ...(['history', 'source', 'groupTokens', 'keys', 'mu'] as const).flatMap((key) =>
    ['1', null, gone, packed].flatMap((value) => rows(key, call('processLogits', x, [], { [key]: value }))),
  ),
  ...rows('temperature', call('sample', x, { temperature: 0 }), call('sample', x, { temperature: 1e-60 })),
  ...rows('topP', call('sample', x, { topP: 0 }), call('sample', x, { topP: 1.1 })),
  ...rows('topK', call('sample', x, { topK: 1.5 })),
  // No promotion: both dtypes are named.
  ...[
    ...rows('b', call('add', x, half(2, 3))),
    ...rows('up', call('gated', x, half(2, 3))),
    ...rows('weight', call('linear', x, half(4, 3)), call('linear', x, heddle.packWeight(half(4, 3)))),
    ...rows('bias', call('linear', x, x, { bias: half(2) }), call('layerNorm', x, { bias: half(3) })),
    ...rows('residual', call('linear', x, x, { residual: half(2, 2) }), call('layerNorm', x, { residual: half(2, 3) })),
    ...rows('weight', call('layerNorm', x, { weight: half(3) }), call('rmsNorm', x, { weight: half(3) })),
    ...rows('residual', call('rmsNorm', x, { residual: half(2, 3) })),
    ...rows('logits', call('sample', half(2, 3))),
    ...rows('frequencies', call('rope', q.reshape([2, 3, 4]), ids, half(2))),
    ...rows('k', call('attention', q, half(1, 2, 3, 4), q), [
      'append',
      () => cache.append(0, half(1, 1, 4), token, cuSeqlens),
    ]),
    ...rows('v', call('attention', q, q, half(1, 2, 3, 4)), [
      'append',
      () => cache.append(0, token, half(1, 1, 4), cuSeqlens),
    ]),
    ...rows('q', call('attention', half(1, 1, 4), cache.layer(0), { cuSeqlens })),
  ].flatMap(([name, run, argument]): Row[] => ['float32', 'bfloat16', argument].map((part) => [name, run, part])),
  ...rows('residual', call('linear', half(2, 3), half(2, 3), { outDtype: 'float32', residual: half(2, 2) })),
  ...rows('outDtype', call('linear', x, x, { outDtype: 'bfloat16' }), call('linear', x, x, { outDtype: null })),
  ...rows('x', call('cast'), call('cast', 1, 'float32'), call('cast', gone, 'float32'), call('cast', packed, 'int32')),
  ...rows('dtype', call('cast', x), call('cast', x, 'float64'), call('cast', x, null)),
  ...rows('returnLse', call('attention', q, q, q, { returnLse: 1 }), call('attention', q, q, q, { returnLse: null })),
  ...rows('returnLse', call('attention', token, cache.layer(0), { cuSeqlens, returnLse: 'yes' })),
  ...rows('dtype', ['KVCache', () => new KVCache({ ...cacheOptions, dtype: 'int32' })]),
  ...rows('dtype', ['KVCache', () => new KVCache({ ...cacheOptions, dtype: null })]),
  ...rows('values', call('tensor', new Int32Array(1), [1], { dtype: 'float16' })),
  ...rows('disposed', ['bytes', () => gone.bytes()]),
  ...rows('packed', ['bytes', () => packed.bytes()]),
  ...rows('dtype', call('loadModel', 'builtin:shakespeare', { dtype: 'int32' })),
  ...rows('q', call('attention'), call('attention', gone, q, q), call('attention', x, q, q)),
  ...rows('k', call('attention', q), call('attention', q, gone, q), call('attention', q, floats(1, 2, 3, 5), q)),
  ...rows('v', call('attention', q, q), call('attention', q, q, x), call('attention', q, q, floats(1, 2, 4, 4))),
  ...rows('heads', call('attention', floats(1, 3, 3, 4), q, q), call('attention', q, floats(1, 0, 3, 4), q)),
  ...rows('mask', call('attention', q, q, q, { mask: 'causal' }), call('attention', q, q, q, { mask: null })),
  ...rows('scale', call('attention', q, q, q, { scale: nan }), call('attention', q, q, q, { scale: '1' })),
  ...rows('scale', call('attention', q, q, q, { scale: 1e39 })),
  ...rows('causal', call('attention', q, q, q, { causal: true })),
  ...rows('cuSeqlens', call('attention', token, cache.layer(0)), call('attention', token, cache.layer(0), {})),
  ...rows('cuSeqlens', call('attention', token, cache.layer(0), { cuSeqlens: int32([0]) })),
  ...rows(
    'q',
    call('attention', q, cache.layer(0), { cuSeqlens }),
    call('attention', 1, cache.layer(0), { cuSeqlens }),
  ),
  ...rows('cache', call('attention', token, { blockTable: 1 }, { cuSeqlens })),
  ...rows('cache', call('attention', token, { ...cache.layer(0), valueDim: undefined }, { cuSeqlens })),
  ...rows('cache', call('attention', token, { ...cache.layer(0), pages: x }, { cuSeqlens })),
  ...rows('values', call('tensor'), call('tensor', 1), call('tensor', 'x'), call('tensor', x), call('tensor', ['1'])),
  ...rows('values', call('tensor', new Float64Array(1)), call('tensor', [1.5], [1], { dtype: 'int32' })),
  // eslint-disable-next-line no-sparse-arrays -- on purpose
  ...rows('values[0]', call('tensor', [, 1]), call('tensor', [1n])),
  ...rows('dtype', call('tensor', [1], [1], { dtype: 'float64' }), call('tensor', [1], [1], { dtype: null })),
  ...rows('shape', call('tensor', [1], 1), call('tensor', [1], [2]), call('tensor', [1], new Array(7).fill(1))),
  ...rows('shape[0]', call('tensor', [1], [-1]), call('tensor', [1], [nan]), call('tensor', [1], ['1'])),
  ...rows(
    'body',
    call('scope'),
    call('scope', {}),
    call('scope', async () => Promise.resolve()),
  ),
  ...rows('count', call('setNumThreads'), call('setNumThreads', 0), call('setNumThreads', 2.5)),
  ...rows('count', call('setNumThreads', nan), call('setNumThreads', 1025), call('setNumThreads', '2')),
  ...rows('bytes', call('setMemoryLimit'), call('setMemoryLimit', -1), call('setMemoryLimit', nan)),
  ...rows('options', ['KVCache', () => new KVCache()], ['KVCache', () => new KVCache(1)]),
  ...Object.keys(cacheOptions).flatMap((option) =>
    [0, -1, nan, 1.5, '1', undefined].flatMap((value) =>
      rows(option, ['KVCache', () => new KVCache({ ...cacheOptions, [option]: value })]),
    ),
  ),
  ...rows('capacity', ['KVCache', () => new KVCache({ ...cacheOptions, capacity: 2 ** 31 - 1, batch: 2 ** 31 - 1 })]),
  ...rows(
    'index',
    ['layer', () => cache.layer(1)],
    ['layer', () => cache.layer(-1)],
    ['layer', () => cache.layer('0' as Wrong)],
  ),
  ...rows(
    'k',
    ['append', () => cache.append(0, 1 as Wrong, token, cuSeqlens)],
    ['append', () => cache.append(0, x, token, cuSeqlens)],
  ),
  ...rows(
    'v',
    ['append', () => cache.append(0, token, gone, cuSeqlens)],
    ['append', () => cache.append(0, token, floats(1, 1, 5), cuSeqlens)],
  ),
  ...rows(
    'cuSeqlens',
    ['append', () => cache.append(0, token, token, x)],
    ['advance', () => cache.advance(int32([0]))],
  ),
  ...rows(
    'shape',
    ['reshape', () => x.reshape([4])],
    ['reshape', () => x.reshape(6 as Wrong)],
    ['reshape', () => x.reshape([-1, -1])],
  ),
  ...rows(
    'shape',
    ['reshape', () => x.reshape([-1, 4])],
    ['reshape', () => x.reshape([-1, 0])],
    ['reshape', () => x.reshape([nan])],
  ),
  ...rows('disposed', ['reshape', () => gone.reshape([-1])], ['reshape', () => gone.reshape([6])]),
  ...rows('disposed', ['transpose', () => gone.transpose()], ['slice', () => gone.slice(0, 0, 1)]),
  ...rows('axis', ['transpose', () => x.transpose(0, 2)], ['slice', () => x.slice(2, 0, 1)]),
  ...rows('a', ['transpose', () => x.transpose(nan)], ['transpose', () => x.transpose('0' as Wrong)]),
  ...rows('begin', ['slice', () => x.slice(0, -1, 1)], ['slice', () => x.slice(0, nan, 1)]),
  ...rows('axis', ['slice', () => x.slice(0, 0, 3)], ['slice', () => x.slice(0, 2, 1)]),
  ...rows('into', ['data', () => x.data([] as Wrong)], ['data', () => x.data(new Float32Array(5))]),
  ...rows(
    'into',
    ['data', () => x.data(new Int32Array(6))],
    ['data', () => x.data(new Float32Array(new SharedArrayBuffer(24)))],
  ),
  ...rows('disposed', ['data', () => gone.data()]),
  ...rows('x', ['linear', () => new nn.Linear(x).forward(1 as Wrong)]),
  ...rows('weight', ['linear', () => new nn.Linear(1 as Wrong).forward(x)]),
  ...rows('eps', ['layerNorm', () => new nn.Norm({ kind: 'layer', eps: nan }, floats(3)).forward(x)]),
  ...rows('ids', ['embedding', () => new nn.Embedding(x).forward(x)]),
  ...['MultiHeadAttention', 'Transformer', 'TransformerEncoderLayer', 'BahdanauAttention', 'LuongAttention'].flatMap(
    (name) => rows('source', make(name), make(name, {}, 'a'), make(name, { dense: 1, matrix: 1 }, 'a')),
  ),
  ...rows('source', make('TokenEmbedding', x, ''), make('LayerNorm', null, ''), make('RMSNorm', 1, '')),
  ...rows('path', make('LayerNorm', nn.initialParameters()), make('LuongAttention', nn.initialParameters(), {})),
  ...rows('length', ['sinusoidalPositions', () => nn.sinusoidalPositions(undefined as Wrong)]),
  ...rows('base', make('Rotary'), make('Rotary', { base: 0 })),
  ...rows('options', make('Rotary', null)),
  ...rows('rotaryWidth', make('Rotary', { base: 2, rotaryWidth: 3 }), make('Rotary', { base: 2, rotaryWidth: 1e12 })),
  ...rows('scaling', make('Rotary', { base: 2, rotaryWidth: 4 }), rotary({ kind: 'other' }), rotary('linear')),
  ...rows('scaling.factor', rotary({ kind: 'linear' }), rotary({ kind: 'yarn', factor: nan })),
  ...rows('scaling.longFactors', rotary({ kind: 'longrope', factor: 2, trainedPositions: 8, longFactors: [1] })),
  ...rows('length', ['rotaryTables', () => nn.rotaryTables(plainRotary, 2 ** 40)]),
  ...rows('shape', ['xavierUniform', () => nn.init.xavierUniform([Symbol('s'), 2] as Wrong)]),
  ...rows('shape', ['orthogonal', () => nn.init.orthogonal([3])]),
  ...rows('title', ['toSVG', () => heddle.mask.causal().toSVG({ queries: 2, keys: 2, title: 1 as Wrong })]),
  ...rows('tokenizer', ['Detokenizer', () => new heddle.Detokenizer({} as Wrong)]),
  ...rows('folder', call('loadModel'), call('loadModel', 1), call('loadModel', 'builtin:nothing')),
  ...rows('options', call('loadModel', 'builtin:shakespeare', 1)),
  ...rows('device', call('loadModel', 'builtin:shakespeare', { device: 'tpu' })),
  ...rows('dtype', call('loadModel', 'builtin:shakespeare', { dtype: 'float8' })),
  ...rows('onProgress', call('loadModel', 'builtin:shakespeare', { onProgress: 1 })),
  ...rows('signal', call('loadModel', 'builtin:shakespeare', { signal: {} })),
  ...rows('quantise', call('loadModel', 'builtin:shakespeare', { quantise: 'int8' })),
];

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What a call throws, or rejects with. */
async function failure(run: () => unknown): Promise<unknown> {
  try {
    await run();
  } catch (error) {
    return error;
  }
  throw new Error('it did not fail');
}

async function expectMisuse(name: string, run: () => unknown, argument: string): Promise<void> {
  const error = await failure(run);
  const { message } = error as Error;
  expect(error instanceof TypeError || error instanceof RangeError ? 'an argument error' : error).toBe(
    'an argument error',
  );
  const head = message.slice(0, message.indexOf(']'));
  expect(head.includes(name) || head.includes(snake(name)) ? name : message).toBe(name);
  expect(message).toContain(argument);
}

test.each(table.map(([name, run, argument], index) => [index, name, argument, run] as const))(
  '%i: %s names %s',
  async (_, name, argument, run) => expectMisuse(name, run, argument),
);

describe('a model', () => {
  let model: heddle.Model;
  beforeAll(async () => {
    model = await heddle.loadModel('builtin:shakespeare');
  });
  afterAll(() => model.dispose());

  const options: [option: string, values: unknown[]][] = [
    ['maxNewTokens', [0, -1, nan, 1.5, '1', null, 1e9]],
    ['maxLength', [0, nan, '1']],
    ['temperature', [0, -1, nan, Infinity, '1']],
    ['topK', [-1, 1.5, nan, '1']],
    ['topP', [0, -0.1, 1.1, nan, '1']],
    ['eosTokenId', [-1, 1e9, nan, '1', [0, -1], [null]]],
    ['padTokenId', [-1, 1e9, nan, '1']],
    ['doSample', [1, 'true', null]],
    ['seed', [-1, nan, 1.5, '1', [1, 2], ['1']]],
    ['stopStrings', [1, '', ['a', 1], ['']]],
    ['prefillChunkSize', [0, -1, nan, 1.5, '1']],
    ['signal', [{}, 1, null]],
    ['numBeams', [0, 1.5, '2']],
  ];
  const cases = options.flatMap(([option, values]) => values.map((value) => [option, value] as const));
  test.each(cases)('generate and stream with %s: %p', async (option, value) => {
    const given = { maxNewTokens: 1, [option]: value } as Wrong;
    const argument = option === 'maxNewTokens' && value === 1e9 ? 'context' : option;
    await expectMisuse('generate', () => model.generate('O', given), argument);
    await expectMisuse('stream', () => model.stream('O', given).next(), argument);
  });

  const prompts: unknown[] = [undefined, null, 1, '', [], [''], [1.5], [-1], [1e9], ['a', 1], [[1], 'a'], [[]]];
  const more: unknown[] = [
    {},
    { ids: 'a' },
    { ids: [1], mask: [1, 1] },
    { ids: [1], mask: [2] },
    { ids: [1], mask: [0] },
  ];
  test.each([...prompts, ...more, new Float32Array(1), Symbol('s'), 1n, [nan]].map((prompt) => [prompt]))(
    'prompt %p',
    async (prompt) => {
      await expectMisuse('generate', () => model.generate(prompt as Wrong, { maxNewTokens: 1 }), '');
      await expectMisuse('stream', () => model.stream(prompt as Wrong, { maxNewTokens: 1 }).next(), '');
    },
  );

  const inputs: [argument: string, input: unknown][] = [
    ['input', undefined],
    ['input', 1],
    ['ids', {}],
    ['ids', { ids: 'a' }],
    ['ids', { ids: [] }],
    ['ids', { ids: [[]] }],
    ['ids', { ids: [[1], [1, 2]] }],
    ['ids', { ids: [1e9] }],
    ['ids', { ids: new Array(100_000).fill(1) }],
    ['mask', { ids: [1], mask: [1, 1] }],
    ['mask', { ids: [1], mask: 'a' }],
    ['mask', { ids: [1], mask: [nan] }],
    ['positions', { ids: [1], positions: [1, 2] }],
    ['positions', { ids: [1], positions: [-1] }],
    ['positions', { ids: [1], positions: [1e9] }],
    ['capture', { ids: [1], capture: 'norm' }],
    ['capture', { ids: [1], capture: [1] }],
    ['capture', { ids: [1], capture: ['layers.99'] }],
    ['input_ids', { input_ids: [1] }],
  ];
  test.each(inputs)('forward names %s', async (argument, input) => {
    await expectMisuse('forward', () => model.forward(input as Wrong), argument);
  });

  test('after dispose every call is a TypeError', async () => {
    const other = await heddle.loadModel('builtin:shakespeare');
    await other.dispose();
    await other.dispose();
    await expectMisuse('generate', () => other.generate('O'), 'disposed');
    await expectMisuse('stream', () => other.stream('O'), 'disposed');
    await expectMisuse('forward', () => other.forward({ ids: [1] }), 'disposed');
  });
});

// Ten seconds of calls, and then what they queued, which a device that a simulator plays is slow at.
const JUNK_MS = 150_000;
test(
  'junk of every kind: only errors that are meant for it',
  () => {
    const { status, signal, stdout, stderr } = runModule('fuzz', { timeoutMs: JUNK_MS });
    expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
    const { calls, uncalled, wrong } = JSON.parse(stdout) as { calls: number; uncalled: string[]; wrong: string[] };
    expect({ uncalled, wrong }).toEqual({ uncalled: [], wrong: [] });
    expect(calls).toBeGreaterThan(500);
  },
  JUNK_MS,
);

test('a proxy of an array is as good as the array; what its getters give later does not matter', () => {
  expect(tensor([1, 2], new Proxy([2], {})).reshape(new Proxy([1, 2], {})).shape).toEqual([1, 2]);
  expect(tensor([1, 2]).reshape(new Proxy([1, -1], {})).shape).toEqual([1, 2]);
  const answers: unknown[] = [2, 'two', 'two', 'two'];
  const shape = Object.defineProperty([0], 0, { get: () => answers.shift() });
  expect(tensor([1, 2], shape).shape).toEqual([2]);
});
