import { native } from '../native';
import { checkOneOf, checkOptions } from '../check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

/** Activations by the names that Hugging Face configs use; the index is the native number. */
export const ACTIVATIONS = ['linear', 'gelu', 'gelu_new', 'silu', 'relu'] as const;
export type Activation = (typeof ACTIVATIONS)[number];

export interface GeluOptions {
  /** 'none': with the error function; 'tanh': the approximation of GPT-2. Default 'none'. */
  approximate?: 'none' | 'tanh' | undefined;
}

/**
 * Gaussian error linear unit, of any float dtype and shape (Hendrycks and Gimpel, 2016, section 2).
 *
 * @throws TypeError for another dtype or an unknown option.
 */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  checkOptions('gelu', options, ['approximate']);
  const { approximate = 'none' } = options;
  checkOneOf('gelu', 'approximate', approximate, ['none', 'tanh']);
  return wrap(native.gelu(unwrap('gelu', 'x', x), approximate === 'tanh'));
}

/** x / (1 + e^-x), of any float dtype and shape (Elfwing et al., 2017; also called swish). */
export function silu(x: Tensor): Tensor {
  return wrap(native.silu(unwrap('silu', 'x', x)));
}

/** max(x, 0), of any float dtype and shape. */
export function relu(x: Tensor): Tensor {
  return wrap(native.relu(unwrap('relu', 'x', x)));
}

export interface GatedOptions {
  /** Of the gate. Default 'silu'. */
  activation?: Activation | undefined;
}

/**
 * activation(gate) · up, of one float dtype: a gated linear unit behind its two projections (Shazeer, 2020, section 2).
 *
 * @param gate [..., C]
 * @param up of the same shape
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, or an unknown option.
 */
export function gated(gate: Tensor, up: Tensor, options: GatedOptions = {}): Tensor {
  checkOptions('gated', options, ['activation']);
  const { activation = 'silu' } = options;
  checkOneOf('gated', 'activation', activation, ACTIVATIONS);
  return wrap(native.gated(unwrap('gated', 'gate', gate), unwrap('gated', 'up', up), ACTIVATIONS.indexOf(activation)));
}
