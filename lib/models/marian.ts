import { createBart, locateBart, sinusoidalOr } from './bart';
import type { Recipe } from './recipe';

/** Marian (Junczys-Dowmunt et al., 2018), as OPUS-MT has it: post-norm, sinusoidal positions, vocabularies of one or two. */
export const marian: Recipe = {
  architectures: ['MarianMTModel', 'marian'],

  create(source, config) {
    const sharedTokens = config.boolean('share_encoder_decoder_embeddings', true);
    const sourceVocabSize = config.integer('vocab_size', 58101);
    return createBart(
      source,
      config,
      (side) => ({ positions: sinusoidalOr(source, config, side), postNorm: true, finalNorm: false }),
      {
        sharedTokens,
        vocabSize: sharedTokens ? sourceVocabSize : config.integer('decoder_vocab_size', sourceVocabSize),
      },
    );
  },

  prefixes: ['model.', ''],
  locate: locateBart,
};
