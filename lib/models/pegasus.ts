import { createBart, locateBart, sinusoidalOr } from './bart';
import type { Recipe } from './recipe';

/** Pegasus (Zhang et al., 2020): pre-norm, a norm at each end, sinusoidal positions. */
export const pegasus: Recipe = {
  architectures: ['PegasusForConditionalGeneration', 'pegasus'],

  create: (source, config) =>
    createBart(source, config, (side) => ({ positions: sinusoidalOr(source, config, side) })),

  prefixes: ['model.', ''],
  locate: locateBart,
};
