import { native } from '../native';
import { checkAxis, checkOneOf, checkOptions } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';

/**
 * x with rows[i] in place of row index[i], nowhere where index[i] is -1; of several for one place the last counts. What
 * `gatherRows` picked out goes back by it.
 *
 * @param x [N, C] of a float dtype
 * @param index [M] int32, in [-1, N); another one makes the result fail: INDEX_OUT_OF_RANGE.
 * @param rows [M, C] of x's dtype
 * @returns [N, C], a new tensor
 * @throws TypeError, RangeError for dtypes and shapes that do not fit.
 */
export function scatterRows(x: Tensor, index: Tensor, rows: Tensor): Tensor {
  return wrap(
    native.scatterRows(
      unwrap('scatterRows', 'x', x),
      unwrap('scatterRows', 'index', index),
      unwrap('scatterRows', 'rows', rows),
    ),
  );
}

export interface TensorScatterOptions {
  /** Of the places in a sequence, not the first one; negative axes count from the end. Default -2. */
  axis?: number | undefined;
  /** 'circular': what lies beyond the end goes to the beginning. Default 'linear'. */
  mode?: 'linear' | 'circular' | undefined;
}

/**
 * A cache with an update in each sequence from a place on: out[b, …, writeIndices[b] + s, …] = update[b, …, s, …] (ONNX
 * TensorScatter, opset 24).
 *
 * @param cache [B, ..., L, ...] of any dtype
 * @param update [B, ..., S, ...] of the same, S ≤ L
 * @param writeIndices [B] int32, at least 0 and, if linear, at most L - S, or the result fails: INDEX_OUT_OF_RANGE;
 *   default: 0
 * @returns a new tensor of the cache's shape
 * @throws TypeError, RangeError for dtypes, shapes and an axis that do not fit, or an unknown option.
 */
export function tensorScatter(
  cache: Tensor,
  update: Tensor,
  writeIndices?: Tensor,
  options: TensorScatterOptions = {},
): Tensor {
  checkOptions('tensorScatter', options, ['axis', 'mode']);
  const { axis = -2, mode = 'linear' } = options;
  checkAxis('tensorScatter', axis);
  checkOneOf('tensorScatter', 'mode', mode, ['linear', 'circular']);
  return wrap(
    native.tensorScatter(
      unwrap('tensorScatter', 'cache', cache),
      unwrap('tensorScatter', 'update', update),
      unwrapOptional('tensorScatter', 'writeIndices', writeIndices),
      axis,
      mode === 'circular',
    ),
  );
}
