import { native } from '../native';
import { checkOneOf, checkOptions } from '../tensor/check';
import { unwrap, wrap, type Tensor } from '../tensor/tensor';

export interface GeluOptions {
  /** 'none': with the error function; 'tanh': the approximation of GPT-2. Default 'none'. */
  approximate?: 'none' | 'tanh';
}

/**
 * Gaussian error linear unit, float32, any shape (Hendrycks and Gimpel, 2016, section 2).
 *
 * @throws TypeError for another dtype or an unknown option.
 */
export function gelu(x: Tensor, options: GeluOptions = {}): Tensor {
  checkOptions('gelu', options, ['approximate']);
  const { approximate = 'none' } = options;
  checkOneOf('gelu', 'approximate', approximate, ['none', 'tanh']);
  return wrap(native.gelu(unwrap('gelu', 'x', x), approximate === 'tanh'));
}
