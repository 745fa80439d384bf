import { Decoder } from '../nn/decoder';
import type { Recipe } from './recipe';

const NAMES: Record<string, string> = {
  tokens: 'word_embeddings',
  embeddingNorm: 'word_embeddings_layernorm',
  attentionNorm: 'input_layernorm',
  'attention.qkv': 'self_attention.query_key_value',
  'attention.output': 'self_attention.dense',
  feedForwardNorm: 'post_attention_layernorm',
  'feedForward.up': 'mlp.dense_h_to_4h',
  'feedForward.down': 'mlp.dense_4h_to_h',
  norm: 'ln_f',
};

/** BLOOM (BigScience Workshop, 2022, section 3.2): pre-norm, ALiBi, normalized embeddings, projections fused by head. */
export const bloom: Recipe = {
  architectures: ['BloomForCausalLM', 'bloom'],

  create(source, config) {
    const width = config.integer(config.present('n_embed', 'hidden_size'), 64);
    const numHeads = config.integer(config.present('num_attention_heads', 'n_head'), 8);
    if (width % numHeads !== 0) {
      throw new RangeError(`[loadModel] ${config.path}: hidden_size ${width} is not a multiple of n_head ${numHeads}`);
    }
    const headDim = width / numHeads;
    return new Decoder(source, {
      vocabSize: config.integer('vocab_size'),
      contextLength: config.integer('seq_length', 2048),
      width,
      innerWidth: 4 * width,
      numLayers: config.integer(config.present('num_hidden_layers', 'n_layer'), 2),
      numHeads,
      numKvHeads: numHeads,
      headDim,
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      activation: 'gelu_new',
      gated: false,
      projection: 'fusedByHead',
      attentionBias: true,
      feedForwardBias: true,
      attentionScale: () => 1 / Math.sqrt(headDim),
      normedResidual: config.boolean('apply_residual_connection_post_layernorm', false),
      embeddingNorm: true,
      positions: 'alibi',
      tiedHead: config.boolean('tie_word_embeddings', true),
    });
  },

  prefixes: ['transformer.', ''],

  locate(path) {
    if (path === 'head.weight') return { name: 'lm_head.weight' };
    const [, layer, part = '', kind = ''] = /^(layers\.\d+\.)?(.+)\.(weight|bias)$/.exec(path) ?? [];
    return { name: `${layer?.replace('layers', 'h') ?? ''}${NAMES[part] ?? part}.${kind}` };
  },
};
