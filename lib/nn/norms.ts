import { checkBoolean, checkInteger, checkNumber, checkOptions, rangeError } from '../check';
import { Norm } from './layers';
import { checkSource, join, type ParameterSource } from './parameters';

export interface LayerNormOptions {
  /** C */
  width: number;
  /** Added to the variance; at least 0. Default 1e-5. */
  eps?: number | undefined;
  /** There is a `bias`. Default true. */
  bias?: boolean | undefined;
  /** The deviation is sqrt(Σ (x - mean)² / (C - 1)) + eps (Rush, 2018, "Encoder"). Default false. */
  unbiased?: boolean | undefined;
}

export interface RMSNormOptions {
  /** C */
  width: number;
  /** Added to the mean of squares; at least 0. Default 1e-6. */
  eps?: number | undefined;
}

function checkSizes(name: string, width: unknown, eps: unknown): void {
  checkInteger(name, 'width', width, 1, 2 ** 24);
  checkNumber(name, 'eps', eps);
  if (eps < 0) throw rangeError(name, 'eps', 'at least 0', eps);
}

/**
 * Layer normalization over the last axis (Ba, Kiros and Hinton, 2016, section 3): see `layerNorm`. Parameters: `weight`
 * [C], `bias` [C].
 */
export class LayerNorm extends Norm {
  /** @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape. */
  constructor(source: ParameterSource, path: string, options: LayerNormOptions) {
    const name = 'LayerNorm';
    checkSource(name, source, path);
    checkOptions(name, options, ['width', 'eps', 'bias', 'unbiased']);
    const { width, eps = 1e-5, bias = true, unbiased = false } = options ?? {};
    checkSizes(name, width, eps);
    checkBoolean(name, 'bias', bias);
    checkBoolean(name, 'unbiased', unbiased);
    const weight = source.dense(join(path, 'weight'), [width]);
    super({ kind: 'layer', eps, unbiased }, weight, bias ? source.dense(join(path, 'bias'), [width]) : undefined);
  }
}

/** Root mean square normalization (Zhang and Sennrich, 2019, section 4): see `rmsNorm`. Parameter: `weight` [C]. */
export class RMSNorm extends Norm {
  /** @throws TypeError, RangeError for options that do not fit, and parameters that are missing or of another shape. */
  constructor(source: ParameterSource, path: string, options: RMSNormOptions) {
    const name = 'RMSNorm';
    checkSource(name, source, path);
    checkOptions(name, options, ['width', 'eps']);
    const { width, eps = 1e-6 } = options ?? {};
    checkSizes(name, width, eps);
    super({ kind: 'rms', eps }, source.dense(join(path, 'weight'), [width]));
  }
}
