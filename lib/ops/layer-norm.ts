import { native } from '../native';
import { checkNumber, checkOptions, rangeError } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';

export interface LayerNormOptions {
  /** [C] */
  weight?: Tensor | undefined;
  /** [C] */
  bias?: Tensor | undefined;
  /** Added to the variance; at least 0. Default 1e-5. */
  eps?: number | undefined;
  /** Of x's shape, added to x first. */
  residual?: Tensor | undefined;
}

/**
 * (s - mean) / sqrt(variance + eps) · weight + bias over the last axis, s = x + residual, of one float dtype, computed
 * in float32 (Ba, Kiros and Hinton, 2016, section 3; biased variance).
 *
 * @param x [..., C]
 * @returns a tensor of x's shape; with a residual both that and `sum` = s.
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, a negative eps, or an unknown option.
 */
export function layerNorm(x: Tensor, options: LayerNormOptions & { residual: Tensor }): { output: Tensor; sum: Tensor };
export function layerNorm(x: Tensor, options?: LayerNormOptions & { residual?: undefined }): Tensor;
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor | { output: Tensor; sum: Tensor } {
  checkOptions('layerNorm', options, ['weight', 'bias', 'eps', 'residual']);
  const { weight, bias, eps = 1e-5, residual } = options;
  checkNumber('layerNorm', 'eps', eps);
  if (eps < 0) throw rangeError('layerNorm', 'eps', 'at least 0', eps);
  const [output, sum] = native.layerNorm(
    unwrap('layerNorm', 'x', x),
    unwrapOptional('layerNorm', 'residual', residual),
    unwrapOptional('layerNorm', 'weight', weight),
    unwrapOptional('layerNorm', 'bias', bias),
    eps,
  );
  return residual === undefined ? wrap(output) : { output: wrap(output), sum: wrap(sum) };
}
