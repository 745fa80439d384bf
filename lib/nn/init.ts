import { checkNumber, checkOptions, rangeError } from '../check';
import { cast } from '../ops/cast';
import { orthogonalize, random, type RandomOptions } from '../ops/random';
import { scope } from '../tensor/scope';
import { checkShape, type Tensor } from '../tensor/tensor';

// Weights to start from, the same for the same seed.

export interface InitOptions extends Omit<RandomOptions, 'step'> {
  /** The result is multiplied by it. Default 1. */
  gain?: number | undefined;
}

/** Inputs and outputs of a weight [N, K, …]: what follows K is a receptive field. */
function fans(name: string, shape: readonly number[]): [inputs: number, outputs: number] {
  const [outputs, inputs, ...field] = checkShape(name, shape);
  if (outputs === undefined || inputs === undefined) throw rangeError(name, 'shape', 'of at least 2 axes', shape);
  const area = field.reduce((product, size) => product * size, 1);
  return [inputs * area, outputs * area];
}

function gainOf(name: string, options: InitOptions): number {
  checkOptions(name, options, ['seed', 'dtype', 'device', 'gain']);
  const { gain = 1 } = options;
  checkNumber(name, 'gain', gain);
  return gain;
}

/** gain · √(2 / (inputs + outputs)) */
function xavierStd(name: string, shape: readonly number[], options: InitOptions): number {
  const [inputs, outputs] = fans(name, shape);
  return Math.abs(gainOf(name, options)) * Math.sqrt(2 / Math.max(1, inputs + outputs));
}

/** Normal numbers: see `random.normal`. */
export const normal: typeof random.normal = (shape, options) => random.normal(shape, options);

/** Evenly spread in ±gain · √(6 / (inputs + outputs)), a weight [N, K] (Glorot and Bengio, 2010, equation 16). */
export function xavierUniform(shape: readonly number[], options: InitOptions = {}): Tensor {
  const bound = Math.sqrt(3) * xavierStd('xavierUniform', shape, options);
  const { seed, dtype, device } = options;
  return random.uniform(shape, { seed, dtype, device, low: -bound, high: bound });
}

/** Normal of deviation gain · √(2 / (inputs + outputs)), a weight [N, K] (Glorot and Bengio, 2010, section 4.2.1). */
export function xavierNormal(shape: readonly number[], options: InitOptions = {}): Tensor {
  const std = xavierStd('xavierNormal', shape, options);
  const { seed, dtype, device } = options;
  return random.normal(shape, { seed, dtype, device, std });
}

/**
 * A weight [N, K] with orthonormal rows, or columns where there are fewer of them, times the gain (Saxe et al., 2013,
 * section 3): uniform over all such matrices.
 */
export function orthogonal(shape: readonly number[], options: InitOptions = {}): Tensor {
  fans('orthogonal', shape);
  if (shape.length > 2) throw rangeError('orthogonal', 'shape', 'of 2 axes', shape);
  const gain = gainOf('orthogonal', options);
  const [n = 0, k = 0] = shape;
  const { dtype = 'float32', seed, device } = options;
  return scope(() => {
    const [rows, columns] = n <= k ? [n, k] : [k, n];
    const frame = orthogonalize(random.normal([1, rows, columns], { seed, device }), { scale: gain });
    const matrix = frame.reshape([rows, columns]);
    return cast(n <= k ? matrix : matrix.transpose(), dtype);
  });
}
