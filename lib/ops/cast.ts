import { native, type DType } from '../native';
import { checkOneOf } from '../check';
import { DTYPES, unwrap, wrap, type Tensor } from '../tensor/tensor';

/**
 * x in another dtype, any of them to any; there is no promotion, so operands of one op are cast to one dtype first.
 * Floats are rounded to the nearest, of two to the even one. To 'int32' they are cut: NaN gives 0, what lies outside
 * the nearest end. To 'bool': whether an element differs from 0. To x's own dtype it is a view.
 *
 * @param x any shape and strides
 * @returns a tensor of x's shape
 * @throws TypeError, RangeError for a weight that is packed or a dtype that there is not.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  const handle = unwrap('cast', 'x', x);
  checkOneOf('cast', 'dtype', dtype, DTYPES);
  return wrap(native.cast(handle, dtype));
}
