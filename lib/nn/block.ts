import { gated, type Activation } from '../ops/activation';
import { attention } from '../ops/attention';
import type { KVCache } from '../ops/kv-cache';
import { mask } from '../ops/mask';
import { rope } from '../ops/rope';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { Linear, Norm, type NormOptions } from './layers';
import type { ParameterSource } from './parameters';
import type { Rotation } from './rotary';

export interface BlockOptions {
  /** C */
  width: number;
  /** Of the feed-forward layer. */
  innerWidth: number;
  numHeads: number;
  /** Key and value heads, each shared by numHeads / numKvHeads query heads. */
  numKvHeads: number;
  headDim: number;
  norm: NormOptions;
  activation: Activation;
  /** The feed-forward layer has a gate: activation(gate) · up. */
  gated: boolean;
  /** Queries, keys and values are one projection in the checkpoint. */
  fusedProjection: boolean;
  attentionBias: boolean;
  feedForwardBias: boolean;
  /** Scores are multiplied by it. */
  attentionScale: number;
}

/** The ragged tokens of one step, N in all. */
export interface Step {
  /** [N] int32 */
  positions: Tensor;
  /** [B + 1] int32: tokens cu[b] … cu[b + 1] - 1 are those of sequence b. */
  cuSeqlens: Tensor;
  /** Holds what came before; the step's keys and values are appended. */
  cache: KVCache;
  /** Of queries and keys, if the model has rotary positions. */
  rotation?: Rotation | undefined;
}

/** Multi-head self-attention (Vaswani et al., 2017, section 3.2.2), with grouped heads. */
export class SelfAttention implements Disposable {
  /** One projection of all, or three. */
  readonly #projections: Linear[];
  readonly #output: Linear;

  constructor(
    source: ParameterSource,
    path: string,
    readonly layer: number,
    readonly options: BlockOptions,
  ) {
    const { width, numHeads, numKvHeads, headDim, fusedProjection, attentionBias } = options;
    const rows = { q: numHeads * headDim, k: numKvHeads * headDim, v: numKvHeads * headDim };
    const load = (name: string, outputs: number) =>
      Linear.load(source, `${path}.${name}`, [outputs, width], attentionBias);
    this.#projections = fusedProjection
      ? [load('qkv', rows.q + rows.k + rows.v)]
      : [load('q', rows.q), load('k', rows.k), load('v', rows.v)];
    this.#output = Linear.load(source, `${path}.output`, [width, rows.q], attentionBias);
  }

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor, { positions, cuSeqlens, cache, rotation }: Step): Tensor {
    const { numHeads, headDim, attentionScale: scale } = this.options;
    const [q, k, v] = this.#project(x);
    const turn = (heads: Tensor) =>
      rotation ? rope(heads, positions, rotation.frequencies, { factor: rotation.factor }) : heads;
    cache.append(this.layer, turn(k), v, cuSeqlens);
    const heads = attention(turn(q), cache.layer(this.layer), { mask: mask.causal(), scale, cuSeqlens });
    return this.#output.forward(heads.reshape([-1, numHeads * headDim]), { residual });
  }

  /** x [N, C] → q [N, H, D], k and v [N, Hkv, D]: views of what the projections give. */
  #project(x: Tensor): [q: Tensor, k: Tensor, v: Tensor] {
    const { numHeads, numKvHeads, headDim } = this.options;
    const outputs = this.#projections.map((projection) => projection.forward(x));
    const part = (index: number, heads: number, first: number): Tensor => {
      const separate = outputs[index];
      if (outputs.length === 3 && separate) return separate.reshape([-1, heads, headDim]);
      const fused = (outputs[0] as Tensor).reshape([-1, numHeads + 2 * numKvHeads, headDim]);
      return fused.slice(1, first, first + heads);
    };
    return [part(0, numHeads, 0), part(1, numKvHeads, numHeads), part(2, numKvHeads, numHeads + numKvHeads)];
  }

  [Symbol.dispose](): void {
    for (const part of [...this.#projections, this.#output]) part[Symbol.dispose]();
  }
}

/** Two linear layers with an activation between (Vaswani et al., 2017, section 3.3), or three with a gate. */
export class FeedForward implements Disposable {
  readonly #gate: Linear | undefined;
  readonly #up: Linear;
  readonly #down: Linear;

  constructor(
    source: ParameterSource,
    path: string,
    readonly options: Pick<BlockOptions, 'width' | 'innerWidth' | 'activation' | 'gated' | 'feedForwardBias'>,
  ) {
    const { width, innerWidth, feedForwardBias: bias } = options;
    this.#gate = options.gated ? Linear.load(source, `${path}.gate`, [innerWidth, width], bias) : undefined;
    this.#up = Linear.load(source, `${path}.up`, [innerWidth, width], bias);
    this.#down = Linear.load(source, `${path}.down`, [width, innerWidth], bias);
  }

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor): Tensor {
    const { activation } = this.options;
    const inner = this.#gate
      ? gated(this.#gate.forward(x), this.#up.forward(x), { activation })
      : this.#up.forward(x, { activation });
    return this.#down.forward(inner, { residual });
  }

  [Symbol.dispose](): void {
    for (const part of [this.#gate, this.#up, this.#down]) part?.[Symbol.dispose]();
  }
}

/** A pre-norm block: x + attention(norm(x)), then that + feedForward(norm(that)) (Xiong et al., 2020, figure 1b). */
export class TransformerBlock implements Disposable {
  readonly #attentionNorm: Norm;
  readonly #attention: SelfAttention;
  readonly #feedForwardNorm: Norm;
  readonly #feedForward: FeedForward;

  constructor(source: ParameterSource, path: string, layer: number, options: BlockOptions) {
    const { width, norm } = options;
    this.#attentionNorm = Norm.load(source, `${path}.attentionNorm`, width, norm);
    this.#attention = new SelfAttention(source, `${path}.attention`, layer, options);
    this.#feedForwardNorm = Norm.load(source, `${path}.feedForwardNorm`, width, norm);
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
