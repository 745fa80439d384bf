import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/** Index of the largest element of the last axis, the first of equals: floats [..., C] → int32 [...]. */
export function argmax(x: Tensor): Tensor {
  return wrap(native.argmax(unwrap('argmax', 'x', x)));
}
