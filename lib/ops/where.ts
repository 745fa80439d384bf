import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/**
 * a where the condition is true, else b, with NumPy's broadcasting of the three.
 *
 * @param condition bool
 * @param a, b of one dtype, any
 * @throws TypeError for other dtypes, RangeError for shapes that do not broadcast.
 */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return wrap(native.where(unwrap('where', 'condition', condition), unwrap('where', 'a', a), unwrap('where', 'b', b)));
}
