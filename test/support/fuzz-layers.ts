import * as heddle from '#lib/index';
import { floats, int32, makeCache, type Valid } from './fuzz-arguments';

const { nn, mask, bias } = heddle;

const init: Valid = () => [[4, 3], { seed: 1, gain: 2, dtype: 'float16' }];
const source = () => nn.initialParameters({ seed: 1 });
const sequences = () => floats(2, 5, 8);

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
const stack = {
  ...{ ...block, contextLength: 16, numLayers: 1, positions: 'learned', attentionScale: () => 1, finalNorm: true },
};
const encoderDecoder = {
  ...{ vocabSize: 11, sourceVocabSize: 11, contextLength: 16, encoder: stack, decoder: stack, sharedTokens: true },
  ...{ tiedHead: true, headBias: false, decoderStartTokenId: 1 },
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
/** Five tokens of one sequence. */
const step = () => ({ positions: int32([0, 1, 2, 3, 4]), cuSeqlens: int32([0, 5]), cache: makeCache() });
const encoderStep = () => ({ batch: 1, length: 5, tokens: undefined, isToken: () => true });
const pass = { training: true, mcDropout: false, seed: 3 };
/** Of nn: see fuzz-calls.ts. */
export const VALID_LAYERS: Readonly<Record<string, Valid>> = {
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
  'nn.HeadProjections.part': () => ['q', floats(5, 8)],
  'nn.CrossAttention': () => [source(), 'cross', 0, block],
  'nn.CrossAttention.append': () => [floats(5, 8), makeCache(), int32([0, 5])],
  'nn.CrossAttention.forward': () => [floats(5, 8), floats(5, 8), { ...step(), source: makeCache() }],
  'nn.FeedForward': () => [source(), 'feed', block],
  'nn.FeedForward.forward': () => [floats(5, 8), floats(5, 8)],
  'nn.TransformerBlock': () => [source(), 'block', 0, block],
  'nn.TransformerBlock.appendSource': () => [floats(5, 8), makeCache(), int32([0, 5])],
  'nn.TransformerBlock.forward': () => [floats(5, 8), step()],
  'nn.Decoder': () => [source(), decoder],
  'nn.Decoder.createCache': () => [1, 8],
  'nn.Decoder.positionsOf': () => [[1, 2]],
  'nn.Decoder.forward': () => [{ ids: int32([1, 2, 3, 4, 5]), ...step() }],
  'nn.EncoderDecoder': () => [source(), encoderDecoder],
  'nn.EncoderDecoder.encode': () => [{ ids: [[1, 2, 3], [4, 5, 6]], mask: [[1, 1, 1], [1, 1, 0]] }], // prettier-ignore
  'nn.EncoderDecoder.decoder': () => [new nn.Source(makeCache())],
  'nn.Source': () => [makeCache(), floats(5, 8)],
  'nn.Source.repeat': () => [2],
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
