import { attention } from '../ops/attention';
import type { KVCache } from '../ops/kv-cache';
import type { Activation } from '../ops/linear';
import { mask } from '../ops/mask';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { LayerNorm, Linear } from './layers';
import type { ParameterSource } from './parameters';

export interface BlockOptions {
  /** C */
  width: number;
  /** Of the feed-forward layer. */
  innerWidth: number;
  numHeads: number;
  headDim: number;
  normEps: number;
  activation: Activation;
  /** Scores are multiplied by it. */
  attentionScale: number;
}

/** The ragged tokens of one step, N in all. */
export interface Step {
  /** [B + 1] int32: tokens cu[b] … cu[b + 1] - 1 are those of sequence b. */
  cuSeqlens: Tensor;
  /** Holds what came before; the step's keys and values are appended. */
  cache: KVCache;
}

/** Multi-head self-attention with a fused projection (Vaswani et al., 2017, section 3.2.2). */
export class SelfAttention implements Disposable {
  readonly #qkv: Linear;
  readonly #output: Linear;

  constructor(
    source: ParameterSource,
    path: string,
    readonly layer: number,
    readonly options: BlockOptions,
  ) {
    const { width, numHeads, headDim } = options;
    this.#qkv = Linear.load(source, `${path}.qkv`, [3 * numHeads * headDim, width]);
    this.#output = Linear.load(source, `${path}.output`, [width, numHeads * headDim]);
  }

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor, { cuSeqlens, cache }: Step): Tensor {
    const { numHeads, headDim, attentionScale } = this.options;
    const qkv = this.#qkv.forward(x).reshape([-1, 3, numHeads, headDim]); // [N, 3, H, D]
    const part = (index: number) => qkv.slice(1, index, index + 1).reshape([-1, numHeads, headDim]); // a view
    const [q, k, v] = [part(0), part(1), part(2)];
    cache.append(this.layer, k, v, cuSeqlens);
    const heads = attention(q, cache.layer(this.layer), { mask: mask.causal(), scale: attentionScale, cuSeqlens });
    return this.#output.forward(heads.reshape([-1, numHeads * headDim]), { residual });
  }

  [Symbol.dispose](): void {
    this.#qkv[Symbol.dispose]();
    this.#output[Symbol.dispose]();
  }
}

/** Two linear layers with an activation between (Vaswani et al., 2017, section 3.3). */
export class FeedForward implements Disposable {
  readonly #up: Linear;
  readonly #down: Linear;

  constructor(
    source: ParameterSource,
    path: string,
    readonly options: Pick<BlockOptions, 'width' | 'innerWidth' | 'activation'>,
  ) {
    const { width, innerWidth } = options;
    this.#up = Linear.load(source, `${path}.up`, [innerWidth, width]);
    this.#down = Linear.load(source, `${path}.down`, [width, innerWidth]);
  }

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor): Tensor {
    return this.#down.forward(this.#up.forward(x, { activation: this.options.activation }), { residual });
  }

  [Symbol.dispose](): void {
    this.#up[Symbol.dispose]();
    this.#down[Symbol.dispose]();
  }
}

/** A pre-norm block: x + attention(norm(x)), then that + feedForward(norm(that)) (Xiong et al., 2020, figure 1b). */
export class TransformerBlock implements Disposable {
  readonly #attentionNorm: LayerNorm;
  readonly #attention: SelfAttention;
  readonly #feedForwardNorm: LayerNorm;
  readonly #feedForward: FeedForward;

  constructor(source: ParameterSource, path: string, layer: number, options: BlockOptions) {
    const { width, normEps } = options;
    this.#attentionNorm = LayerNorm.load(source, `${path}.attentionNorm`, width, normEps);
    this.#attention = new SelfAttention(source, `${path}.attention`, layer, options);
    this.#feedForwardNorm = LayerNorm.load(source, `${path}.feedForwardNorm`, width, normEps);
    this.#feedForward = new FeedForward(source, `${path}.feedForward`, options);
  }

  /** x [N, C] → [N, C]. */
  forward(x: Tensor, step: Step): Tensor {
    return scope(() => {
      const attended = this.#attention.forward(this.#attentionNorm.forward(x), x, step);
      return this.#feedForward.forward(this.#feedForwardNorm.forward(attended), attended);
    });
  }

  [Symbol.dispose](): void {
    for (const part of [this.#attentionNorm, this.#attention, this.#feedForwardNorm, this.#feedForward]) {
      part[Symbol.dispose]();
    }
  }
}
