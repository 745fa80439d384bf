import { native } from '../native';
import { checkAxis, checkOptions, typeError } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

export interface ConcatOptions {
  /** Negative axes count from the end. Default 0. */
  axis?: number | undefined;
}

/**
 * Tensors one behind the other along an axis.
 *
 * @param tensors at least one, of one dtype, any, and one shape but for that axis
 * @throws TypeError, RangeError for dtypes, shapes and an axis that do not fit, or an unknown option.
 */
export function concat(tensors: readonly Tensor[], options: ConcatOptions = {}): Tensor {
  checkOptions('concat', options, ['axis']);
  const { axis = 0 } = options;
  checkAxis('concat', axis);
  if (!Array.isArray(tensors)) throw typeError('concat', 'tensors', 'an array of tensors', tensors);
  const handles = Array.from(tensors as readonly Tensor[], (tensor, i) => unwrap('concat', `tensors[${i}]`, tensor));
  return wrap(native.concat(handles, axis));
}
