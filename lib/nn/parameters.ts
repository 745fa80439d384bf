import type { DeviceName } from '../tensor/device';
import type { Tensor } from '../tensor/tensor';

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
