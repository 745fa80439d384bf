import { checkOneOf, checkOptions } from '../check';
import { native } from '../native';
import { FLOAT_DTYPES, unwrap, wrap, type FloatDType, type Tensor } from '../tensor/tensor';

/**
 * Rows of a table: out[..., :] = table[ids[...], :].
 *
 * @param table [V, C] of a float dtype, dense or packed for `linear`.
 * @param ids int32, any shape.
 * @param options.dtype of the result, where the table is quantized. Default 'float32'; else the table's own.
 * @returns ids.shape + [C], of the table's dtype where that is a float. An id outside [0, V) is a RangeError when the result is read (code INDEX_OUT_OF_RANGE).
 * @throws TypeError, RangeError for other dtypes and shapes.
 */
export function embedding(table: Tensor, ids: Tensor, options: { dtype?: FloatDType | undefined } = {}): Tensor {
  checkOptions('embedding', options, ['dtype']);
  const { dtype } = options;
  if (dtype !== undefined) checkOneOf('embedding', 'dtype', dtype, FLOAT_DTYPES);
  return wrap(native.embedding(unwrap('embedding', 'table', table), unwrap('embedding', 'ids', ids), dtype ?? ''));
}
