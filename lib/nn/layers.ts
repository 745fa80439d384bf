import type { Activation } from '../ops/activation';
import { mul } from '../ops/arithmetic';
import { cast } from '../ops/cast';
import { embedding } from '../ops/embedding';
import { layerNorm } from '../ops/layer-norm';
import { linear } from '../ops/linear';
import { rmsNorm } from '../ops/rms-norm';
import type { FloatDType, Tensor } from '../tensor/tensor';
import { checkSource, type ParameterSource } from './parameters';

/** x [..., K] → activation(x · weightᵀ + bias) + residual, [..., N]. */
export class Linear implements Disposable {
  constructor(
    readonly weight: Tensor,
    readonly bias?: Tensor,
  ) {}

  /** `shape` is that of the weight, [N, K]. */
  static load(source: ParameterSource, path: string, shape: readonly [number, number], bias: boolean): Linear {
    checkSource('Linear.load', source, path);
    const weight = source.matrix(`${path}.weight`, shape);
    return new Linear(weight, bias ? source.dense(`${path}.bias`, [shape[0]]) : undefined);
  }

  forward(x: Tensor, options: { activation?: Activation; residual?: Tensor; outDtype?: 'float32' } = {}): Tensor {
    return linear(x, this.weight, { bias: this.bias, ...options });
  }

  [Symbol.dispose](): void {
    this.weight.dispose();
    this.bias?.dispose();
  }
}

export interface NormOptions {
  /** 'layer': layer normalization, with bias; 'rms': root mean square, without. */
  kind: 'layer' | 'rms';
  eps: number;
  /** Of layer normalization: the unbiased deviation, eps added to it (Rush, 2018). Default false. */
  unbiased?: boolean | undefined;
}

/** Normalization over the last axis. */
export class Norm implements Disposable {
  constructor(
    readonly options: NormOptions,
    readonly weight: Tensor,
    readonly bias?: Tensor,
  ) {}

  static load(source: ParameterSource, path: string, width: number, options: NormOptions): Norm {
    checkSource('Norm.load', source, path);
    const weight = source.dense(`${path}.weight`, [width]);
    return new Norm(options, weight, options.kind === 'layer' ? source.dense(`${path}.bias`, [width]) : undefined);
  }

  forward(x: Tensor): Tensor {
    const { weight, bias } = this;
    const { kind, eps, unbiased } = this.options;
    return kind === 'rms' ? rmsNorm(x, { weight, eps }) : layerNorm(x, { weight, bias, eps, unbiased });
  }

  [Symbol.dispose](): void {
    this.weight.dispose();
    this.bias?.dispose();
  }
}

/** ids [...] → rows of a table, [..., C]. */
export class Embedding implements Disposable {
  /** `rowDtype`, of the rows, is for a table that is quantized. */
  constructor(
    readonly table: Tensor,
    private readonly rowDtype?: FloatDType,
  ) {}

  /** Of the rows. */
  get dtype(): FloatDType {
    return this.rowDtype ?? (this.table.dtype as FloatDType);
  }

  forward(ids: Tensor): Tensor {
    return embedding(this.table, ids, { dtype: this.rowDtype });
  }

  [Symbol.dispose](): void {
    this.table.dispose();
  }
}

/** x · factor, which is float32: the product is rounded once. */
export function scaleBy(x: Tensor, factor: number): Tensor {
  return factor === 1 ? x : cast(mul(cast(x, 'float32'), factor), x.dtype);
}
