import { Decoder } from '../nn/decoder';
import { ACTIVATIONS } from '../ops/activation';
import type { Recipe } from './recipe';

const NAMES: Record<string, string> = {
  tokens: 'wte',
  positions: 'wpe',
  attentionNorm: 'ln_1',
  'attention.qkv': 'attn.c_attn',
  'attention.output': 'attn.c_proj',
  feedForwardNorm: 'ln_2',
  'feedForward.up': 'mlp.c_fc',
  'feedForward.down': 'mlp.c_proj',
  norm: 'ln_f',
};

/** GPT-2 (Radford et al., 2019): pre-norm, learned positions, fused projections stored as [in, out]. */
export const gpt2: Recipe = {
  architectures: ['GPT2LMHeadModel', 'gpt2'],

  create(source, config) {
    if (config.boolean('add_cross_attention', false)) {
      throw new RangeError(`[loadModel] ${config.path}: add_cross_attention is not supported`);
    }
    const width = config.integer('n_embd');
    const numHeads = config.integer('n_head');
    if (width % numHeads !== 0) {
      throw new RangeError(`[loadModel] ${config.path}: n_embd ${width} is not a multiple of n_head ${numHeads}`);
    }
    const headDim = width / numHeads;
    const scale = config.boolean('scale_attn_weights', true) ? 1 / Math.sqrt(headDim) : 1;
    const byLayer = config.boolean('scale_attn_by_inverse_layer_idx', false);
    return new Decoder(source, {
      vocabSize: config.integer('vocab_size'),
      contextLength: config.integer('n_positions'),
      width,
      innerWidth: config.integer('n_inner', 4 * width),
      numLayers: config.integer('n_layer'),
      numHeads,
      headDim,
      numKvHeads: numHeads,
      norm: { kind: 'layer', eps: config.number('layer_norm_epsilon', 1e-5) },
      gated: false,
      projection: 'fused',
      attentionBias: true,
      feedForwardBias: true,
      positions: 'learned',
      activation: config.oneOf('activation_function', ACTIVATIONS, 'gelu_new'),
      attentionScale: (layer) => (byLayer ? scale / (layer + 1) : scale),
      tiedHead: config.boolean('tie_word_embeddings', true),
    });
  },

  // Checkpoints of the bare GPT2Model, the original ones among them, have no prefix.
  prefixes: ['transformer.', ''],

  locate(path) {
    if (path === 'head.weight') return { name: 'lm_head.weight' };
    const [, layer, part = '', kind = ''] = /^(layers\.\d+\.)?(.+)\.(weight|bias)$/.exec(path) ?? [];
    const name = `${layer?.replace('layers', 'h') ?? ''}${NAMES[part] ?? part}.${kind}`;
    return { name, transposed: kind === 'weight' && part.includes('.') };
  },
};
