import { Encoder } from '../nn/encoder';
import type { EncoderHeadOptions } from '../nn/encoder-head';
import { encoderOptions, labelsOf, locateEncoder } from './bert';
import type { Config } from './config';
import type { Recipe } from './recipe';

const NAMES: Record<string, string> = {
  'attention.globalQ': 'attention.self.query_global',
  'attention.globalK': 'attention.self.key_global',
  'attention.globalV': 'attention.self.value_global',
  'head.transform': 'lm_head.dense',
  'head.transformNorm': 'lm_head.layer_norm',
  head: 'lm_head.decoder',
};

/** The head of each architecture. */
const HEADS: Record<string, (config: Config) => EncoderHeadOptions> = {
  LongformerForMaskedLM: (config) => ({
    kind: 'maskedLM',
    activation: 'gelu',
    tied: config.boolean('tie_word_embeddings', true),
  }),
  LongformerForTokenClassification: (config) => ({ kind: 'tokenClassification', numLabels: labelsOf(config) }),
  LongformerModel: () => ({ kind: 'none', pooler: true }),
  longformer: () => ({ kind: 'none', pooler: true }),
};

/** Windows of the layers: one number for all, or one each. */
function windowsOf(config: Config, numLayers: number): readonly number[] {
  const key = 'attention_window';
  const windows = Array.isArray(config.values[key])
    ? config.numbers(key, numLayers)
    : new Array<number>(numLayers).fill(config.integer(key, 512));
  const wrong = windows.find((window) => !Number.isInteger(window) || window < 2 || window % 2 !== 0);
  if (wrong === undefined) return windows;
  throw new RangeError(`[loadModel] ${config.path}: ${key} must be even and at least 2 but is ${wrong}`);
}

/** Longformer (Beltagy et al., 2020): RoBERTa with sliding windows, and global tokens by projections of their own. */
export const longformer: Recipe = {
  architectures: Object.keys(HEADS),

  create(source, config, architecture) {
    const options = encoderOptions(config);
    const padTokenId = config.number('pad_token_id', 1);
    const rows = config.integer('max_position_embeddings', 512);
    if (!Number.isInteger(padTokenId) || padTokenId < 0 || padTokenId + 1 >= rows) {
      const wanted = `a whole number from 0 to max_position_embeddings ${rows} - 2`;
      throw new RangeError(`[loadModel] ${config.path}: pad_token_id must be ${wanted} but is ${padTokenId}`);
    }
    return new Encoder(source, {
      ...options,
      contextLength: rows - padTokenId - 1,
      padTokenId,
      positions: 'learned',
      windows: windowsOf(config, options.numLayers),
      head: HEADS[architecture]!(config),
    });
  },

  prefixes: ['longformer.', ''],

  locate(path) {
    return path === 'head.bias' ? { name: 'lm_head.bias' } : locateEncoder(path, NAMES);
  },
};
