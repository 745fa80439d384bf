import { embedding } from '../ops/embedding';
import { layerNorm } from '../ops/layer-norm';
import { linear, type Activation } from '../ops/linear';
import type { Tensor } from '../tensor/tensor';
import type { ParameterSource } from './parameters';

/** x [..., K] → activation(x · weightᵀ + bias) + residual, [..., N]. */
export class Linear implements Disposable {
  constructor(
    readonly weight: Tensor,
    readonly bias?: Tensor,
  ) {}

  /** `shape` is that of the weight, [N, K]. */
  static load(source: ParameterSource, path: string, shape: readonly [number, number]): Linear {
    return new Linear(source.matrix(`${path}.weight`, shape), source.dense(`${path}.bias`, [shape[0]]));
  }

  forward(x: Tensor, options: { activation?: Activation; residual?: Tensor } = {}): Tensor {
    return linear(x, this.weight, { bias: this.bias, ...options });
  }

  [Symbol.dispose](): void {
    this.weight.dispose();
    this.bias?.dispose();
  }
}

/** Layer normalization over the last axis. */
export class LayerNorm implements Disposable {
  constructor(
    readonly weight: Tensor,
    readonly bias: Tensor | undefined,
    readonly eps: number,
  ) {}

  static load(source: ParameterSource, path: string, width: number, eps: number): LayerNorm {
    return new LayerNorm(source.dense(`${path}.weight`, [width]), source.dense(`${path}.bias`, [width]), eps);
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, { weight: this.weight, bias: this.bias, eps: this.eps });
  }

  [Symbol.dispose](): void {
    this.weight.dispose();
    this.bias?.dispose();
  }
}

/** ids [...] → rows of a table, [..., C]. */
export class Embedding implements Disposable {
  constructor(readonly table: Tensor) {}

  forward(ids: Tensor): Tensor {
    return embedding(this.table, ids);
  }

  [Symbol.dispose](): void {
    this.table.dispose();
  }
}
