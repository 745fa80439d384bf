import { native } from '../native';
import { checkAxis, checkOptions } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

export interface SoftmaxOptions {
  /** Negative axes count from the end. Default -1. */
  axis?: number | undefined;
}

function axisOf(name: string, options: SoftmaxOptions): number {
  checkOptions(name, options, ['axis']);
  const { axis = -1 } = options;
  checkAxis(name, axis);
  return axis;
}

/**
 * e^x / Σ e^x over an axis, of a float dtype. A row of only -∞ gives NaN.
 *
 * @throws TypeError, RangeError for another dtype, an axis that x has not, or an unknown option.
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = axisOf('softmax', options);
  return wrap(native.softmax(unwrap('softmax', 'x', x), axis));
}

/** log(softmax(x)): see `softmax`. */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  const axis = axisOf('logSoftmax', options);
  return wrap(native.logSoftmax(unwrap('logSoftmax', 'x', x), axis));
}
