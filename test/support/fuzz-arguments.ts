import * as heddle from '#lib/index';

/** Arguments of a call that succeeds, made afresh. */
export type Valid = () => readonly unknown[];

export const floats = (...shape: number[]) => heddle.random.normal(shape, { seed: 1 });
export const int32 = (values: number[], shape?: number[]) => heddle.tensor(values, shape, { dtype: 'int32' });

export const cacheOptions: heddle.KVCacheOptions = {
  ...{ numLayers: 1, batch: 1, capacity: 8, numKvHeads: 2, headDim: 4, valueDim: 4 },
  dtype: 'float32',
};
export const makeCache = () => new heddle.KVCache(cacheOptions);
