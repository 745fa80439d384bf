import { native } from '../native';
import { checkOneOf, checkOptions } from '../check';
import { QUANTIZED_DTYPES, unwrap, unwrapOptional, wrap, type QuantizedDType, type Tensor } from '../tensor/tensor';
import { activationKind, type Activation } from './activation';

export interface LinearOptions {
  /** [N] */
  bias?: Tensor | undefined;
  /** [..., N], added last. */
  residual?: Tensor | undefined;
  /** By its name in `activation`. Default 'linear': none. */
  activation?: Activation | undefined;
  /** Of the result and the residual. Default: x's; 'float32' keeps what halves would round, as for logits. */
  outDtype?: 'float32' | undefined;
}

/**
 * activation(x · weightᵀ + bias) + residual, of one float dtype, summed in float32 and rounded once. A row of the result
 * has the same bytes alone and among others.
 *
 * @param x [..., K]
 * @param weight [N, K], as it is or, faster, packed once by `packWeight`; quantized ones go with every dtype of x.
 * @returns [..., N], of x's dtype or float32
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  checkOptions('linear', options, ['bias', 'residual', 'activation', 'outDtype']);
  const { bias, residual, activation = 'linear', outDtype } = options;
  const kind = activationKind('linear', 'activation', activation);
  if (outDtype !== undefined) checkOneOf('linear', 'outDtype', outDtype, ['float32']);
  return wrap(
    native.linear(
      unwrap('linear', 'x', x),
      unwrap('linear', 'weight', weight),
      unwrapOptional('linear', 'bias', bias),
      unwrapOptional('linear', 'residual', residual),
      kind,
      outDtype === 'float32',
    ),
  );
}

/**
 * A weight [N, K] of a float dtype in the layout that `linear` reads fastest. It serves `linear` and `embedding` only.
 *
 * @param options.quantize its numbers as whole ones: 'int8' with a scale a row, or 'int4' with one a row
 *   and a multiplier of four bits for each 32 numbers of it, 4.25 bits a number in all. `linear` then rounds each row of
 *   x to int8 with a scale of its own, sums exactly, and takes x of any float dtype.
 * @throws TypeError, RangeError for other dtypes, shapes, devices and options.
 */
export function packWeight(weight: Tensor, options: { quantize?: QuantizedDType | undefined } = {}): Tensor {
  checkOptions('packWeight', options, ['quantize']);
  const { quantize } = options;
  const handle = unwrap('packWeight', 'weight', weight);
  if (quantize !== undefined) checkOneOf('packWeight', 'quantize', quantize, QUANTIZED_DTYPES);
  return wrap(native.pack(handle, quantize ?? 'float32'));
}
