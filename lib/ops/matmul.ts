import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/**
 * a · b, a matrix product for each matrix of a batch, of one float dtype: each element one sum along K in float32,
 * rounded once. A product has the same bytes alone and in a batch.
 *
 * @param a [..., M, K], any strides: a transposed view costs no copy of its own
 * @param b [..., K, N]; the axes before are broadcast as NumPy does
 * @returns [..., M, N]
 * @throws TypeError, RangeError for dtypes and shapes that do not fit.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  return wrap(native.matmul(unwrap('matmul', 'a', a), unwrap('matmul', 'b', b)));
}
