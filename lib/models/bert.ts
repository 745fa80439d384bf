import { Encoder } from '../nn/encoder';
import type { EncoderHeadOptions } from '../nn/encoder-head';
import { ACTIVATIONS } from '../ops/activation';
import type { Config } from './config';
import type { Recipe } from './recipe';

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
  'head.transform': 'cls.predictions.transform.dense',
  'head.transformNorm': 'cls.predictions.transform.LayerNorm',
  'head.pooler': 'pooler.dense',
  'head.classifier': 'classifier',
  'head.ends': 'qa_outputs',
};

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

/** Labels of a classifier. */
export function labelsOf(config: Config): number {
  const named = config.object('id2label');
  return named ? Object.keys(named.values).length : config.integer('num_labels', 2);
}

/** BERT (Devlin et al., 2019): post-norm, learned positions, or vectors of the distance (Shaw et al., 2018). */
export const bert: Recipe = {
  architectures: Object.keys(HEADS),

  create(source, config, architecture) {
    const width = config.integer('hidden_size', 768);
    const numHeads = config.integer('num_attention_heads', 12);
    if (width % numHeads !== 0) {
      throw new RangeError(
        `[loadModel] ${config.path}: hidden_size ${width} is not a multiple of num_attention_heads ${numHeads}`,
      );
    }
    if (config.boolean('is_decoder', false)) {
      throw new RangeError(`[loadModel] ${config.path}: is_decoder is not supported`);
    }
    return new Encoder(source, {
      vocabSize: config.integer('vocab_size'),
      contextLength: config.integer('max_position_embeddings', 512),
      width,
      innerWidth: config.integer('intermediate_size', 4 * width),
      numLayers: config.integer('num_hidden_layers', 12),
      numHeads,
      norm: { kind: 'layer', eps: config.number('layer_norm_eps', 1e-12) },
      activation: config.oneOf('hidden_act', ACTIVATIONS, 'gelu'),
      numTypes: config.integer('type_vocab_size', 2),
      positions: config.choice(
        'position_embedding_type',
        { absolute: 'learned', relative_key: 'relativeKey', relative_key_query: 'relativeKeyQuery' } as const,
        'absolute',
      ),
      head: HEADS[architecture]!(config),
    });
  },

  prefixes: ['bert.', ''],

  locate(path) {
    if (path === 'head.weight') return { name: 'cls.predictions.decoder.weight' };
    if (path === 'head.bias') return { name: 'cls.predictions.bias' };
    const [, layer, part = '', kind = ''] = /^(layers\.\d+\.)?(.+)\.(weight|bias)$/.exec(path) ?? [];
    const module = `${layer?.replace('layers', 'encoder.layer') ?? ''}${NAMES[part] ?? part}`;
    return { name: `${module}.${kind}`, olderName: `${module}.${kind === 'weight' ? 'gamma' : 'beta'}` };
  },
};
