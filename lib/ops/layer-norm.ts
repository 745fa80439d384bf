import { native } from '../native';
import { checkAxis, checkBoolean, checkNumber, checkOptions, rangeError } from '../check';
import { unwrap, unwrapOptional, wrap, type Tensor } from '../tensor/tensor';

export interface LayerNormOptions {
  /** Of the shape that is normalized: [C] */
  weight?: Tensor | undefined;
  /** The same. */
  bias?: Tensor | undefined;
  /** Added to the variance; at least 0. Default 1e-5. */
  eps?: number | undefined;
  /** Of x's shape, added to x first. */
  residual?: Tensor | undefined;
  /** The first of the axes that are normalized together; negative ones count from the end. Default -1. */
  axis?: number | undefined;
  /**
   * The deviation is sqrt(Σ (s - mean)² / (C - 1)) + eps, as in The Annotated Transformer (Rush, 2018, "Encoder").
   * Default false.
   */
  unbiased?: boolean | undefined;
  /** Mean and inverse deviation are wanted. Default false. */
  returnStats?: boolean | undefined;
}

/** What `residual` and `returnStats` add is there where they are. */
export interface LayerNormResult {
  output: Tensor;
  /** x + residual */
  sum: Tensor;
  /** float32, of x's shape with 1 for each axis that is normalized */
  mean: Tensor;
  /** The same: output = (s - mean) · inverseDeviation · weight + bias */
  inverseDeviation: Tensor;
}

type With<Key extends keyof LayerNormResult> = Pick<LayerNormResult, 'output' | Key>;
type Options<Required extends object> = Omit<LayerNormOptions, 'residual' | 'returnStats'> & Required;
interface Residual {
  residual: Tensor;
}
interface Stats {
  returnStats: true;
}

/**
 * (s - mean) / sqrt(variance + eps) · weight + bias over the axes from `axis` on, s = x + residual, of one float dtype,
 * computed in float32 (Ba, Kiros and Hinton, 2016, section 3; biased variance).
 *
 * @param x [..., C], C standing for all axes that are normalized
 * @returns a tensor of x's shape; with a residual or stats an object of what is asked for.
 * @throws TypeError, RangeError for dtypes and shapes that do not fit, a negative eps, or an unknown option.
 */
export function layerNorm(x: Tensor, options: Options<Residual & Stats>): LayerNormResult;
export function layerNorm(x: Tensor, options: Options<Residual & { returnStats?: false | undefined }>): With<'sum'>;
export function layerNorm(
  x: Tensor,
  options: Options<Stats & { residual?: undefined }>,
): With<'mean' | 'inverseDeviation'>;
export function layerNorm(
  x: Tensor,
  options?: Options<{ residual?: undefined; returnStats?: false | undefined }>,
): Tensor;
export function layerNorm(x: Tensor, options: LayerNormOptions = {}): Tensor | Partial<LayerNormResult> {
  checkOptions('layerNorm', options, ['weight', 'bias', 'eps', 'residual', 'axis', 'unbiased', 'returnStats']);
  const { weight, bias, eps = 1e-5, residual, axis = -1, unbiased = false, returnStats = false } = options;
  checkNumber('layerNorm', 'eps', eps);
  if (eps < 0) throw rangeError('layerNorm', 'eps', 'at least 0', eps);
  checkAxis('layerNorm', axis);
  checkBoolean('layerNorm', 'unbiased', unbiased);
  checkBoolean('layerNorm', 'returnStats', returnStats);
  const [output, sum, mean, inverseDeviation] = native.layerNorm(
    unwrap('layerNorm', 'x', x),
    unwrapOptional('layerNorm', 'residual', residual),
    unwrapOptional('layerNorm', 'weight', weight),
    unwrapOptional('layerNorm', 'bias', bias),
    eps,
    axis,
    unbiased,
    returnStats,
  );
  if (!sum && !mean) return wrap(output);
  return {
    output: wrap(output),
    ...(sum && { sum: wrap(sum) }),
    ...(mean && { mean: wrap(mean), inverseDeviation: wrap(inverseDeviation) }),
  };
}
