import { Encoder, type EncoderOptions } from '../nn/encoder';
import type { EncoderHeadOptions } from '../nn/encoder-head';
import { ACTIVATIONS } from '../ops/activation';
import type { Config } from './config';
import type { Recipe, StoredParameter } from './recipe';

/** Of BERT and what descends from it. */
const NAMES: Record<string, string> = {
  tokens: 'embeddings.word_embeddings',
  types: 'embeddings.token_type_embeddings',
  positions: 'embeddings.position_embeddings',
  embeddingNorm: 'embeddings.LayerNorm',
  'attention.q': 'attention.self.query',
  'attention.k': 'attention.self.key',
  'attention.v': 'attention.self.value',
  'attention.distances': 'attention.self.distance_embedding',
  'attention.output': 'attention.output.dense',
  attentionNorm: 'attention.output.LayerNorm',
  'feedForward.up': 'intermediate.dense',
  'feedForward.down': 'output.dense',
  feedForwardNorm: 'output.LayerNorm',
  'head.pooler': 'pooler.dense',
  'head.classifier': 'classifier',
};

const HEAD_NAMES: Record<string, string> = {
  'head.transform': 'cls.predictions.transform.dense',
  'head.transformNorm': 'cls.predictions.transform.LayerNorm',
  'head.ends': 'qa_outputs',
  head: 'cls.predictions.decoder',
};

/** Where a parameter lies, by names beside those of BERT's encoder. */
export function locateEncoder(path: string, names: Readonly<Record<string, string>>): StoredParameter {
  const [, layer, part = '', kind = ''] = /^(layers\.\d+\.)?(.+)\.(weight|bias)$/.exec(path) ?? [];
  const module = `${layer?.replace('layers', 'encoder.layer') ?? ''}${names[part] ?? NAMES[part] ?? part}`;
  return { name: `${module}.${kind}`, otherNames: [`${module}.${kind === 'weight' ? 'gamma' : 'beta'}`] };
}

/** The head of each architecture. */
const HEADS: Record<string, (config: Config) => EncoderHeadOptions> = {
  BertForMaskedLM: (config) => ({
    kind: 'maskedLM',
    activation: config.oneOf('hidden_act', ACTIVATIONS, 'gelu'),
    tied: config.boolean('tie_word_embeddings', true),
  }),
  BertForSequenceClassification: (config) => ({ kind: 'sequenceClassification', numLabels: labelsOf(config) }),
  BertForTokenClassification: (config) => ({ kind: 'tokenClassification', numLabels: labelsOf(config) }),
  BertForQuestionAnswering: () => ({ kind: 'questionAnswering' }),
  BertModel: () => ({ kind: 'none', pooler: true }),
  bert: () => ({ kind: 'none', pooler: true }),
};

const POSITIONS = { absolute: 'learned', relative_key: 'relativeKey', relative_key_query: 'relativeKeyQuery' } as const;

/** Options of an encoder by the keys of BERT's config. */
export function encoderOptions(config: Config): Omit<EncoderOptions, 'contextLength' | 'positions' | 'head'> {
  const width = config.integer('hidden_size', 768);
  const numHeads = config.integer('num_attention_heads', 12);
  if (width % numHeads !== 0) {
    const wanted = `a multiple of num_attention_heads ${numHeads}`;
    throw new RangeError(`[loadModel] ${config.path}: hidden_size must be ${wanted} but is ${width}`);
  }
  return {
    vocabSize: config.integer('vocab_size'),
    width,
    innerWidth: config.integer('intermediate_size', 4 * width),
    numLayers: config.integer('num_hidden_layers', 12),
    numHeads,
    norm: { kind: 'layer', eps: config.number('layer_norm_eps', 1e-12) },
    activation: config.oneOf('hidden_act', ACTIVATIONS, 'gelu'),
    numTypes: config.integer('type_vocab_size', 2),
  };
}

/** Labels of a classifier. */
export function labelsOf(config: Config): number {
  const named = config.object('id2label');
  return named ? Object.keys(named.values).length : config.integer('num_labels', 2);
}

/** BERT (Devlin et al., 2019): post-norm, learned positions, or vectors of the distance (Shaw et al., 2018). */
export const bert: Recipe = {
  architectures: Object.keys(HEADS),

  create(source, config, architecture) {
    if (config.boolean('is_decoder', false)) {
      throw new RangeError(`[loadModel] ${config.path}: is_decoder is not supported`);
    }
    return new Encoder(source, {
      ...encoderOptions(config),
      contextLength: config.integer('max_position_embeddings', 512),
      positions: config.choice('position_embedding_type', POSITIONS, 'absolute'),
      head: HEADS[architecture]!(config),
    });
  },

  prefixes: ['bert.', ''],

  locate(path) {
    return path === 'head.bias' ? { name: 'cls.predictions.bias' } : locateEncoder(path, HEAD_NAMES);
  },
};
