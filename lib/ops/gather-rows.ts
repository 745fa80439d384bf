import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/**
 * out[i] = x[index[i]], or zeros where index[i] is -1: rows picked out, or spread over a padded batch.
 *
 * @param x [N, C] of a float dtype or int32
 * @param index [M] int32
 * @returns [M, C]
 */
export function gatherRows(x: Tensor, index: Tensor): Tensor {
  return wrap(native.gatherRows(unwrap('gatherRows', 'x', x), unwrap('gatherRows', 'index', index)));
}
