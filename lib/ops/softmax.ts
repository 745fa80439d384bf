import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/** e^x / Σ e^x over the last axis, floats [..., C]. A row of only -∞ gives NaN. */
export function softmax(x: Tensor): Tensor {
  return wrap(native.softmax(unwrap('softmax', 'x', x)));
}

/** log(softmax(x)) over the last axis, floats [..., C]. */
export function logSoftmax(x: Tensor): Tensor {
  return wrap(native.logSoftmax(unwrap('logSoftmax', 'x', x)));
}
