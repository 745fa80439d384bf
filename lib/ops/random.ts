import { native, type FloatDType } from '../native';
import { checkInteger, checkNumber, checkOneOf, checkOptions, rangeError } from '../check';
import { deviceOrDefault, type Device } from '../tensor/device';
import { checkShape, FLOAT_DTYPES, Tensor, tensor, unwrap, wrap } from '../tensor/tensor';

/** Which random numbers: the same for the same seed and step, on every device. */
export interface RandomCounter {
  /** A whole number from 0 to 2^53 - 1. Default 0. */
  seed?: number | undefined;
  /**
   * Which draw of the seed this is, such as a layer's of a step; a tensor [1] int32 may change between the replays of a
   * program. Default 0.
   */
  step?: number | Tensor | undefined;
}

export interface RandomOptions extends RandomCounter {
  /** Default 'float32'. */
  dtype?: FloatDType | undefined;
  /** Default: see setDefaultDevice. */
  device?: Device | undefined;
}

/** Calls back with handles of a seed and a step, as the native side takes them. */
function withCounter<T>(
  name: string,
  { seed = 0, step = 0 }: RandomCounter,
  device: Device | undefined,
  body: (seed: number, step: number) => T,
): T {
  checkInteger(name, 'seed', seed, 0);
  if (!(step instanceof Tensor)) checkInteger(name, 'step', step, 0, 2 ** 31 - 1);
  using halves = tensor(Int32Array.of((seed % 2 ** 32) | 0, Math.floor(seed / 2 ** 32)), [2], { device });
  const given = unwrap(name, 'seed', halves);
  if (step instanceof Tensor) return body(given, unwrap(name, 'step', step));
  using own = tensor(Int32Array.of(step), [1], { device });
  return body(given, unwrap(name, 'step', own));
}

function draw(
  name: string,
  shape: readonly number[],
  options: RandomOptions,
  [normal, first, second]: [normal: boolean, first: number, second: number],
): Tensor {
  const { dtype = 'float32', device } = options;
  const sizes = checkShape(name, shape);
  checkOneOf(name, 'dtype', dtype, FLOAT_DTYPES);
  deviceOrDefault(name, device);
  return withCounter(name, options, device, (seed, step) =>
    wrap(native.random(seed, step, normal, first, second, dtype, sizes)),
  );
}

const COMMON = ['seed', 'step', 'dtype', 'device'];

/** Random tensors by a counter-based generator, Philox 4x32-10 (Salmon et al., 2011). */
export const random = {
  /** Evenly spread numbers in [low, high), of 24 bits, the same bits on every device; a half dtype may round to high. */
  uniform(
    shape: readonly number[],
    options: RandomOptions & { low?: number | undefined; high?: number | undefined } = {},
  ): Tensor {
    checkOptions('random.uniform', options, [...COMMON, 'low', 'high']);
    const { low = 0, high = 1 } = options;
    checkNumber('random.uniform', 'low', low);
    checkNumber('random.uniform', 'high', high);
    if (high < low) throw rangeError('random.uniform', 'high', `at least ${low}`, high);
    return draw('random.uniform', shape, options, [false, low, high]);
  },

  /** Normal numbers (Box and Muller, 1958), the same on every device but for a few units in the last place. */
  normal(
    shape: readonly number[],
    options: RandomOptions & { mean?: number | undefined; std?: number | undefined } = {},
  ): Tensor {
    checkOptions('random.normal', options, [...COMMON, 'mean', 'std']);
    const { mean = 0, std = 1 } = options;
    checkNumber('random.normal', 'mean', mean);
    checkNumber('random.normal', 'std', std);
    if (std < 0) throw rangeError('random.normal', 'std', 'at least 0', std);
    return draw('random.normal', shape, options, [true, mean, std]);
  },
};

export interface DropoutOptions extends RandomCounter {
  /** Probability that an element is dropped, in [0, 1]. */
  p: number;
}

/**
 * x / (1 - p) with probability 1 - p, else 0 (Srivastava et al., 2014, section 10). Which elements are dropped follows
 * from seed, step and their places alone.
 *
 * @param x any shape, of a float dtype.
 * @throws TypeError, RangeError for a dtype or options that do not fit.
 */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  checkOptions('dropout', options, ['p', 'seed', 'step']);
  const handle = unwrap('dropout', 'x', x);
  checkNumber('dropout', 'p', options?.p);
  if (options.p < 0 || options.p > 1) throw rangeError('dropout', 'p', 'in [0, 1]', options.p);
  return withCounter('dropout', options, x.disposed ? undefined : x.device, (seed, step) =>
    wrap(native.dropout(handle, seed, step, options.p)),
  );
}

/**
 * For initialisers: matrices [M, R, C] float32, R ≤ C, whose rows are made orthogonal to those before (Gram and Schmidt, in
 * float64), of length 1 or as long as they were, times `scale`.
 */
export function orthogonalize(
  x: Tensor,
  { keepLengths = false, scale = 1 }: { keepLengths?: boolean; scale?: number } = {},
): Tensor {
  return wrap(native.orthogonalize(unwrap('orthogonalize', 'x', x), keepLengths, scale));
}
