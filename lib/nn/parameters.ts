import type { DeviceName } from '../tensor/device';
import type { Tensor } from '../tensor/tensor';

/** A parameter that a model has. */
export interface Parameter {
  /** 'layers.0.attention.qkv.weight' */
  readonly path: string;
  readonly shape: readonly number[];
}

/**
 * Where the layers get their parameters, by path ('layers.0.attention.qkv.weight'). What a checkpoint calls them, and
 * how it stores them, is the business of lib/models.
 */
export interface ParameterSource {
  /** Where it puts them. */
  readonly device: DeviceName;
  /** A weight of shape [N, K], packed for `linear`. */
  matrix(path: string, shape: readonly [number, number]): Tensor;
  /** Any other parameter, dense. */
  dense(path: string, shape: readonly number[]): Tensor;
}

/** A source that keeps account of what was taken from it. */
export class ParameterLog implements ParameterSource {
  readonly taken: Parameter[] = [];

  constructor(private readonly source: ParameterSource) {}

  get device(): DeviceName {
    return this.source.device;
  }

  matrix(path: string, shape: readonly [number, number]): Tensor {
    this.taken.push({ path, shape });
    return this.source.matrix(path, shape);
  }

  dense(path: string, shape: readonly number[]): Tensor {
    this.taken.push({ path, shape });
    return this.source.dense(path, shape);
  }
}
