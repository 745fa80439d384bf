import { Decoder, type DecoderOptions } from '../nn/decoder';
import { ACTIVATIONS } from '../ops/activation';
import type { RotaryScaling } from '../nn/rotary';
import { Config } from './config';
import type { Recipe } from './recipe';

const NAMES: Record<string, string> = {
  tokens: 'embed_tokens',
  attentionNorm: 'input_layernorm',
  'attention.q': 'self_attn.q_proj',
  'attention.k': 'self_attn.k_proj',
  'attention.v': 'self_attn.v_proj',
  'attention.output': 'self_attn.o_proj',
  feedForwardNorm: 'post_attention_layernorm',
  'feedForward.gate': 'mlp.gate_proj',
  'feedForward.up': 'mlp.up_proj',
  'feedForward.down': 'mlp.down_proj',
};

/** What a scaling may ask of the rest of the config. */
interface Context {
  config: Config;
  contextLength: number;
  rotaryWidth: number;
}

/** `rope_scaling` of a config by its `rope_type` (older: `type`). */
const SCALINGS: Record<string, (scaling: Config, context: Context) => RotaryScaling> = {
  default: () => ({ kind: 'default' }),
  linear: (scaling) => ({ kind: 'linear', factor: scaling.number('factor') }),
  dynamic: (scaling, { contextLength }) => ({
    kind: 'dynamic',
    factor: scaling.number('factor'),
    maxPositions: contextLength,
  }),
  llama3: (scaling) => ({
    kind: 'llama3',
    factor: scaling.number('factor'),
    lowFrequency: scaling.number('low_freq_factor'),
    highFrequency: scaling.number('high_freq_factor'),
    trainedPositions: scaling.integer('original_max_position_embeddings'),
  }),
  yarn: (scaling, { contextLength }) => ({
    kind: 'yarn',
    factor: scaling.number('factor'),
    trainedPositions: scaling.integer('original_max_position_embeddings', contextLength),
    betaFast: scaling.number('beta_fast', 32),
    betaSlow: scaling.number('beta_slow', 1),
    attentionFactor: scaling.optionalNumber('attention_factor'),
  }),
  longrope: (scaling, { config, contextLength, rotaryWidth }) => {
    // The trained length stands beside the scaling, or newer within it; without one, the factor says what is reached.
    const key = 'original_max_position_embeddings';
    const own = [config, scaling].find((place) => place.optionalNumber(key) !== undefined);
    const trainedPositions = own?.integer(key) ?? contextLength;
    return {
      kind: 'longrope',
      shortFactors: scaling.numbers('short_factor', rotaryWidth / 2),
      longFactors: scaling.numbers('long_factor', rotaryWidth / 2),
      trainedPositions,
      factor: own ? contextLength / trainedPositions : scaling.number('factor'),
      attentionFactor: scaling.optionalNumber('attention_factor'),
    };
  },
};

/** config.json as options of the decoder. */
export function llamaOptions(config: Config): DecoderOptions {
  const width = config.integer('hidden_size');
  const numHeads = config.integer('num_attention_heads');
  const headDim = config.integer('head_dim', Math.floor(width / numHeads));
  const contextLength = config.integer('max_position_embeddings', 2048);
  // Newer configs keep base and scaling together.
  const scaling = config.object('rope_parameters') ?? config.object('rope_scaling');
  const kind = scaling?.values.rope_type === undefined ? 'type' : 'rope_type';
  const base = scaling?.optionalNumber('rope_theta') ?? config.number('rope_theta', 10000);
  const rule = scaling?.choice(kind, SCALINGS, 'default') ?? SCALINGS.default;
  return {
    vocabSize: config.integer('vocab_size'),
    contextLength,
    numLayers: config.integer('num_hidden_layers'),
    width,
    innerWidth: config.integer('intermediate_size'),
    numHeads,
    numKvHeads: config.integer('num_key_value_heads', numHeads),
    headDim,
    norm: { kind: 'rms', eps: config.number('rms_norm_eps', 1e-6) },
    activation: config.oneOf('hidden_act', ACTIVATIONS, 'silu'),
    gated: true,
    projection: 'separate',
    attentionBias: config.boolean('attention_bias', false),
    feedForwardBias: config.boolean('mlp_bias', false),
    attentionScale: () => 1 / Math.sqrt(headDim),
    tiedHead: config.boolean('tie_word_embeddings', false),
    positions: { base, rotaryWidth: headDim, scaling: rule!(scaling ?? config, { config, contextLength, rotaryWidth: headDim }) },
  };
}

/** Llama (Touvron et al., 2023): pre-norm with RMS norm, rotary positions, grouped heads, gated feed-forward. */
export const llama: Recipe = {
  architectures: ['LlamaForCausalLM', 'llama'],

  create: (source, config) => new Decoder(source, llamaOptions(config)),

  prefixes: ['model.', ''],

  locate(path) {
    if (path === 'head.weight') return { name: 'lm_head.weight' };
    const [, layer = '', part = '', kind = ''] = /^(layers\.\d+\.)?(.+)\.(weight|bias)$/.exec(path) ?? [];
    return { name: `${layer}${NAMES[part] ?? part}.${kind}` };
  },
};
