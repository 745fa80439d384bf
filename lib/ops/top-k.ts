import { native } from '../native';
import { checkAxis, checkBoolean, checkInteger, checkOptions } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

export interface TopKOptions {
  /** Negative axes count from the end. Default -1. */
  axis?: number | undefined;
  /** Else the smallest. Default true. */
  largest?: boolean | undefined;
  /** The best first; else in the order of their indices. Default true. */
  sorted?: boolean | undefined;
}

/**
 * The k largest elements of an axis, or the smallest, and where they stand. Of equals the lower index comes first; NaN is
 * larger than all.
 *
 * @param x of a float dtype or int32
 * @param k 0 to the size of the axis
 * @returns values and indices (int32), of x's shape with k for the axis
 * @throws TypeError, RangeError for a dtype, an axis or a k that does not fit, or an unknown option.
 */
export function topK(x: Tensor, k: number, options: TopKOptions = {}): { values: Tensor; indices: Tensor } {
  checkOptions('topK', options, ['axis', 'largest', 'sorted']);
  const { axis = -1, largest = true, sorted = true } = options;
  checkAxis('topK', axis);
  checkBoolean('topK', 'largest', largest);
  checkBoolean('topK', 'sorted', sorted);
  const handle = unwrap('topK', 'x', x);
  checkInteger('topK', 'k', k, 0);
  const [values, indices] = native.topK(handle, k, axis, largest, sorted);
  return { values: wrap(values), indices: wrap(indices) };
}
