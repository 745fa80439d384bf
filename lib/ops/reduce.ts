import { native } from '../native';
import { checkAxis, checkBoolean, checkOptions } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

export interface ReduceOptions {
  /** Negative axes count from the end. Default: all elements. */
  axis?: number | undefined;
  /** The axis stays, of size 1. Default false. */
  keepAxis?: boolean | undefined;
}

function reduce(name: 'sum' | 'mean' | 'logSumExp', x: Tensor, options: ReduceOptions): Tensor {
  checkOptions(name, options, ['axis', 'keepAxis']);
  const { axis, keepAxis = false } = options;
  checkBoolean(name, 'keepAxis', keepAxis);
  if (axis !== undefined) checkAxis(name, axis);
  return wrap(native[name](unwrap(name, 'x', x), axis, keepAxis));
}

/**
 * Σ x over an axis, of a float dtype, summed in float32 in an order fixed by the axis' length and rounded once.
 *
 * @throws TypeError, RangeError for another dtype, an axis that x has not, or an unknown option.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('sum', x, options);
}

/** The mean over an axis, NaN of nothing: see `sum`. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('mean', x, options);
}

/** ln Σ e^x over an axis, without overflow; -∞ of nothing, and where all is -∞: see `sum`. */
export function logSumExp(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('logSumExp', x, options);
}
