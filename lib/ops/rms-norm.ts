import { native } from '../native';
import { checkNumber, checkOptions, rangeError } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';

export interface RmsNormOptions {
  /** [C] */
  weight?: Tensor | undefined;
  /** Added to the mean of squares; at least 0. Default 1e-6. */
  eps?: number | undefined;
  /** Added to the weight: 1 for weights that are stored as their difference from 1. Default 0. */
  offset?: number | undefined;
  /** Of x's shape, added to x first. */
  residual?: Tensor | undefined;
}

/**
 * s / sqrt(mean(s²) + eps) · (weight + offset) over the last axis, s = x + residual, of one float dtype, computed in
 * float32 (Zhang and Sennrich, 2019, section 4).
 *
 * @param x [..., C]
 * @returns a tensor of x's shape; with a residual both that and `sum` = s.
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, a negative eps, or an unknown option.
 */
export function rmsNorm(x: Tensor, options: RmsNormOptions & { residual: Tensor }): { output: Tensor; sum: Tensor };
export function rmsNorm(x: Tensor, options?: RmsNormOptions & { residual?: undefined }): Tensor;
export function rmsNorm(x: Tensor, options: RmsNormOptions = {}): Tensor | { output: Tensor; sum: Tensor } {
  checkOptions('rmsNorm', options, ['weight', 'eps', 'offset', 'residual']);
  const { weight, eps = 1e-6, offset = 0, residual } = options;
  checkNumber('rmsNorm', 'eps', eps);
  if (eps < 0) throw rangeError('rmsNorm', 'eps', 'at least 0', eps);
  checkNumber('rmsNorm', 'offset', offset);
  const [output, sum] = native.rmsNorm(
    unwrap('rmsNorm', 'x', x),
    unwrapOptional('rmsNorm', 'residual', residual),
    unwrapOptional('rmsNorm', 'weight', weight),
    eps,
    offset,
  );
  return residual === undefined ? wrap(output) : { output: wrap(output), sum: wrap(sum) };
}
