import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/**
 * a + b, of one float dtype, with NumPy's broadcasting: axes are aligned at the last, and a size of 1 is repeated.
 *
 * @throws TypeError for other dtypes, RangeError for shapes that do not broadcast.
 */
export function add(a: Tensor, b: Tensor): Tensor {
  return wrap(native.add(unwrap('add', 'a', a), unwrap('add', 'b', b)));
}
