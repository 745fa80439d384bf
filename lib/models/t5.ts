import { EncoderDecoder } from '../nn/encoder-decoder';
import { ACTIVATIONS, type Activation } from '../ops/activation';
import type { Config } from './config';
import type { Recipe } from './recipe';

const NAMES: Record<string, string> = {
  q: 'q',
  k: 'k',
  v: 'v',
  output: 'o',
  gate: 'wi_0',
  up: 'wi',
  down: 'wo',
};

/** The parts of a block, and its place among those of an encoder and of a decoder. */
const PARTS: Record<string, { module: string; encoder: number; decoder: number }> = {
  attention: { module: 'SelfAttention', encoder: 0, decoder: 0 },
  crossAttention: { module: 'EncDecAttention', encoder: 1, decoder: 1 },
  feedForward: { module: 'DenseReluDense', encoder: 1, decoder: 2 },
};

/** `feed_forward_proj`: an activation, or 'gated-' and one. */
function feedForwardOf(config: Config): { gated: boolean; activation: Activation } {
  const names = ACTIVATIONS.flatMap((name) => [name, `gated-${name}`]);
  const given = config.oneOf('feed_forward_proj', names, 'relu');
  if (given === 'gated-gelu') return { gated: true, activation: 'gelu_new' }; // as T5 1.1 was trained
  return { gated: given.startsWith('gated-'), activation: given.replace('gated-', '') as Activation };
}

/** Buckets of distances, as many as both sides of an encoder and the one of a decoder can share. */
function bucketsOf(config: Config): { numBuckets: number; maxDistance: number } {
  const numBuckets = config.integer('relative_attention_num_buckets', 32);
  const maxDistance = config.integer('relative_attention_max_distance', 128);
  if (numBuckets < 4 || maxDistance <= numBuckets / 2) {
    throw new RangeError(
      `[loadModel] ${config.path}: relative_attention_num_buckets must be at least 4 and less than twice ` +
        `relative_attention_max_distance ${maxDistance} but is ${numBuckets}`,
    );
  }
  return { numBuckets, maxDistance };
}

/**
 * T5 (Raffel et al., 2020): pre-norm with RMS norm, relative positions by buckets, unscaled scores, one token table. T5
 * 1.1: a gate, a head of its own.
 */
export const t5: Recipe = {
  architectures: ['T5ForConditionalGeneration', 'T5WithLMHeadModel', 't5'],

  create(source, config) {
    const width = config.integer('d_model', 512);
    const vocabSize = config.integer('vocab_size', 32128);
    const numHeads = config.integer('num_heads', 8);
    const numLayers = config.integer('num_layers', 6);
    const tiedHead = config.boolean('tie_word_embeddings', true);
    const contextLength = config.integer('n_positions', 512);
    const stack = {
      width,
      innerWidth: config.integer('d_ff', 2048),
      contextLength,
      numHeads,
      numKvHeads: numHeads,
      headDim: config.integer('d_kv', 64),
      norm: { kind: 'rms', eps: config.number('layer_norm_epsilon', 1e-6) },
      ...feedForwardOf(config),
      projection: 'separate',
      attentionBias: false,
      feedForwardBias: false,
      attentionScale: () => 1,
      positions: bucketsOf(config),
    } as const;
    return new EncoderDecoder(source, {
      vocabSize,
      sourceVocabSize: vocabSize,
      contextLength,
      encoder: { ...stack, numLayers },
      decoder: { ...stack, numLayers: config.integer('num_decoder_layers', numLayers) },
      sharedTokens: true,
      tiedHead,
      headBias: false,
      headScale: tiedHead ? 1 / Math.sqrt(width) : 1,
      decoderStartTokenId: config.tokenId(config.present('decoder_start_token_id', 'pad_token_id'), vocabSize),
    });
  },

  prefixes: [''],

  locate(path, config) {
    if (path === 'head.weight') return { name: 'lm_head.weight' };
    if (path === 'tokens.weight') {
      return { name: 'shared.weight', otherNames: ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'] };
    }
    const [, side = '', layer, part = ''] = /^(encoder|decoder)\.(?:layers\.(\d+)\.)?(.+)\.weight$/.exec(path) ?? [];
    if (part === 'norm') return { name: `${side}.final_layer_norm.weight` };
    if (part === 'positions') {
      return { name: `${side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight` };
    }
    const [name = '', projection] = part.split('.');
    const { module, ...places } = PARTS[name.replace('Norm', '')]!;
    const place = `${side}.block.${layer}.layer.${places[side as 'encoder' | 'decoder']}`;
    if (projection === undefined) return { name: `${place}.layer_norm.weight` };
    const isBesideGate = projection === 'up' && feedForwardOf(config).gated;
    return { name: `${place}.${module}.${isBesideGate ? 'wi_1' : NAMES[projection]!}.weight` };
  },
};
