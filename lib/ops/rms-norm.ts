import { native } from '../native';
import { checkAxis, checkNumber, checkOptions, rangeError } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';

export interface RmsNormOptions {
  /** Of the shape that is normalized: [C] */
  weight?: Tensor | undefined;
  /** Added to the mean of squares; at least 0. Default 1e-6. */
  eps?: number | undefined;
  /** Added to the weight: 1 for weights that are stored as their difference from 1. Default 0. */
  offset?: number | undefined;
  /** Of x's shape, added to x first. */
  residual?: Tensor | undefined;
  /** The first of the axes that are normalized together; negative ones count from the end. Default -1. */
  axis?: number | undefined;
}

/**
 * s / sqrt(mean(s²) + eps) · (weight + offset) over the axes from `axis` on, s = x + residual, of one float dtype,
 * computed in float32 (Zhang and Sennrich, 2019, section 4).
 *
 * @param x [..., C], C standing for all axes that are normalized
 * @returns a tensor of x's shape; with a residual both that and `sum` = s.
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, a negative eps, or an unknown option.
 */
export function rmsNorm(x: Tensor, options: RmsNormOptions & { residual: Tensor }): { output: Tensor; sum: Tensor };
export function rmsNorm(x: Tensor, options?: RmsNormOptions & { residual?: undefined }): Tensor;
export function rmsNorm(x: Tensor, options: RmsNormOptions = {}): Tensor | { output: Tensor; sum: Tensor } {
  checkOptions('rmsNorm', options, ['weight', 'eps', 'offset', 'residual', 'axis']);
  const { weight, eps = 1e-6, offset = 0, residual, axis = -1 } = options;
  checkNumber('rmsNorm', 'eps', eps);
  if (eps < 0) throw rangeError('rmsNorm', 'eps', 'at least 0', eps);
  checkNumber('rmsNorm', 'offset', offset);
  checkAxis('rmsNorm', axis);
  const [output, sum] = native.rmsNorm(
    unwrap('rmsNorm', 'x', x),
    unwrapOptional('rmsNorm', 'residual', residual),
    unwrapOptional('rmsNorm', 'weight', weight),
    eps,
    offset,
    axis,
  );
  return residual === undefined ? wrap(output) : { output: wrap(output), sum: wrap(sum) };
}
