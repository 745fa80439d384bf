import { native } from '../native';
import { checkOneOf, checkOptions } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';
import { ACTIVATIONS, type Activation } from './activation';

export interface LinearOptions {
  /** [N] */
  bias?: Tensor | undefined;
  /** [..., N], added last. */
  residual?: Tensor | undefined;
  /** 'linear' (none, the default), 'gelu' (error function), 'gelu_new' (tanh), 'silu' or 'relu'. */
  activation?: Activation | undefined;
}

/**
 * activation(x · weightᵀ + bias) + residual, float32. A row of the result has the same bytes alone and among others.
 *
 * @param x [..., K]
 * @param weight [N, K], as it is or, faster, packed once by `packWeight`.
 * @returns [..., N]
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function linear(x: Tensor, weight: Tensor, options: LinearOptions = {}): Tensor {
  checkOptions('linear', options, ['bias', 'residual', 'activation']);
  const { bias, residual, activation = 'linear' } = options;
  checkOneOf('linear', 'activation', activation, ACTIVATIONS);
  return wrap(
    native.linear(
      unwrap('linear', 'x', x),
      unwrap('linear', 'weight', weight),
      unwrapOptional('linear', 'bias', bias),
      unwrapOptional('linear', 'residual', residual),
      ACTIVATIONS.indexOf(activation),
    ),
  );
}

/** A weight [N, K] float32 in the layout that `linear` reads fastest. It serves `linear` and `embedding` only. */
export function packWeight(weight: Tensor): Tensor {
  return wrap(native.pack(unwrap('packWeight', 'weight', weight)));
}
