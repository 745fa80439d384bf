import { EncoderDecoder, type EncoderDecoderOptions } from '../nn/encoder-decoder';
import type { StackOptions } from '../nn/stack';
import { ACTIVATIONS } from '../ops/activation';
import type { Config } from './config';
import type { Recipe, StoredParameter, StoredParameters } from './recipe';

/** Of BART and what descends from it. */
const NAMES: Record<string, string> = {
  tokens: 'embed_tokens',
  positions: 'embed_positions',
  embeddingNorm: 'layernorm_embedding',
  'attention.q': 'self_attn.q_proj',
  'attention.k': 'self_attn.k_proj',
  'attention.v': 'self_attn.v_proj',
  'attention.output': 'self_attn.out_proj',
  attentionNorm: 'self_attn_layer_norm',
  'crossAttention.q': 'encoder_attn.q_proj',
  'crossAttention.k': 'encoder_attn.k_proj',
  'crossAttention.v': 'encoder_attn.v_proj',
  'crossAttention.output': 'encoder_attn.out_proj',
  crossAttentionNorm: 'encoder_attn_layer_norm',
  'feedForward.up': 'fc1',
  'feedForward.down': 'fc2',
  feedForwardNorm: 'final_layer_norm',
  norm: 'layer_norm',
};

/** Where a parameter of BART or what descends from it lies. */
export function locateBart(path: string): StoredParameter {
  if (path === 'head.weight') return { name: 'lm_head.weight' };
  if (path === 'head.bias') return { name: 'final_logits_bias', leadingAxis: true };
  if (path === 'tokens.weight') {
    return { name: 'shared.weight', otherNames: ['encoder.embed_tokens.weight', 'decoder.embed_tokens.weight'] };
  }
  const [, place = '', part = '', kind = ''] =
    /^((?:encoder|decoder)\.(?:layers\.\d+\.)?)(.+)\.(weight|bias)$/.exec(path) ?? [];
  return { name: `${place}${NAMES[part] ?? part}.${kind}` };
}

/** In what the families differ. */
type FamilyOptions = Pick<StackOptions, 'positions' | 'postNorm' | 'embeddingNorm' | 'finalNorm'>;

/** A side of the model, by the keys of BART's config. */
function stackOptions(config: Config, side: 'encoder' | 'decoder', family: FamilyOptions): StackOptions {
  const width = config.integer('d_model', 1024);
  const numHeads = config.integer(`${side}_attention_heads`, 16);
  if (width % numHeads !== 0) {
    const wanted = `a multiple of ${side}_attention_heads ${numHeads}`;
    throw new RangeError(`[loadModel] ${config.path}: d_model must be ${wanted} but is ${width}`);
  }
  const headDim = width / numHeads;
  return {
    width,
    innerWidth: config.integer(`${side}_ffn_dim`, 4096),
    contextLength: config.integer('max_position_embeddings', 1024),
    numLayers: config.integer(`${side}_layers`, 12),
    numHeads,
    numKvHeads: numHeads,
    headDim,
    norm: { kind: 'layer', eps: 1e-5 },
    activation: config.oneOf('activation_function', ACTIVATIONS, 'gelu'),
    gated: false,
    projection: 'separate',
    attentionBias: true,
    feedForwardBias: true,
    attentionScale: () => 1 / Math.sqrt(headDim),
    embeddingScale: config.boolean('scale_embedding', false) ? Math.sqrt(width) : 1,
    ...family,
  };
}

/** BART or what descends from it, by the keys of BART's config and `more`. */
export function createBart(
  source: StoredParameters,
  config: Config,
  familyOf: (side: 'encoder' | 'decoder') => FamilyOptions,
  more: Partial<EncoderDecoderOptions> = {},
): EncoderDecoder {
  const sourceVocabSize = config.integer('vocab_size', 50265);
  const { vocabSize = sourceVocabSize } = more;
  const tiedHead = config.boolean('tie_word_embeddings', true);
  return new EncoderDecoder(source, {
    vocabSize,
    sourceVocabSize,
    contextLength: config.integer('max_position_embeddings', 1024),
    encoder: stackOptions(config, 'encoder', familyOf('encoder')),
    decoder: stackOptions(config, 'decoder', familyOf('decoder')),
    sharedTokens: tiedHead || !source.has('encoder.tokens.weight'),
    tiedHead,
    headBias: source.has('head.bias'),
    decoderStartTokenId: config.tokenId(
      config.present('decoder_start_token_id', 'bos_token_id', 'pad_token_id'),
      vocabSize,
    ),
    ...more,
  });
}

/** Sinusoidal positions; a table that the checkpoint has goes first. */
export function sinusoidalOr(source: StoredParameters, config: Config, side: 'encoder' | 'decoder') {
  if (source.has(`${side}.positions.weight`)) return 'learned';
  const width = config.integer('d_model', 1024);
  if (width % 2 === 0) return 'sinusoidal';
  throw new RangeError(`[loadModel] ${config.path}: d_model must be even for sinusoidal positions but is ${width}`);
}

/** BART (Lewis et al., 2020): post-norm, normalized embeddings, learned positions. */
export const bart: Recipe = {
  architectures: ['BartForConditionalGeneration', 'bart'],

  create: (source, config) =>
    createBart(source, config, () => ({
      positions: 'learned',
      postNorm: true,
      embeddingNorm: true,
      finalNorm: false,
    })),

  prefixes: ['model.', ''],

  locate(path) {
    // Positions 0 and 1 are not in use: they were those of padding.
    return { ...locateBart(path), ...(path.endsWith('.positions.weight') && { rowsBefore: 2 }) };
  },
};
