import { native } from '../native';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/**
 * Rows of a table: out[..., :] = table[ids[...], :].
 *
 * @param table [V, C] of a float dtype, dense or packed for `linear`.
 * @param ids int32, any shape.
 * @returns ids.shape + [C], of the table's dtype. An id outside [0, V) is a RangeError when the result is read (code INDEX_OUT_OF_RANGE).
 * @throws TypeError, RangeError for other dtypes and shapes.
 */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return wrap(native.embedding(unwrap('embedding', 'table', table), unwrap('embedding', 'ids', ids)));
}
