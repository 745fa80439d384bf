import { gated, type Activation } from '../ops/activation';
import { attention } from '../ops/attention';
import type { Bias } from '../ops/bias';
import type { KVCache } from '../ops/kv-cache';
import { mask } from '../ops/mask';
import { rope } from '../ops/rope';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import type { Capture } from './capture';
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
  /** Queries, keys and values in the checkpoint: three matrices; one, all queries first; or one, head by head. */
  projection: 'separate' | 'fused' | 'fusedByHead';
  attentionBias: boolean;
  feedForwardBias: boolean;
  /** Scores are multiplied by it. */
  attentionScale: number;
  /** What attention and feed-forward layer are added to is their normalized input. Default false: the input. */
  normedResidual?: boolean | undefined;
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
  /** Of the scores, if the model has one. */
  bias?: Bias | undefined;
  /** Inner tensors wanted, if any. */
  capture?: Capture | undefined;
}

/** The projections of multi-head attention (Vaswani et al., 2017, section 3.2.2), with grouped heads. */
export class HeadProjections implements Disposable {
  /** One projection of all, or three. */
  readonly #inputs: Linear[];
  readonly #output: Linear;

  constructor(
    source: ParameterSource,
    path: string,
    readonly options: Pick<
      BlockOptions,
      'width' | 'numHeads' | 'numKvHeads' | 'headDim' | 'projection' | 'attentionBias'
    >,
  ) {
    const { width, numHeads, numKvHeads, headDim, projection, attentionBias } = options;
    const rows = { q: numHeads * headDim, k: numKvHeads * headDim, v: numKvHeads * headDim };
    const load = (name: string, outputs: number) =>
      Linear.load(source, `${path}.${name}`, [outputs, width], attentionBias);
    this.#inputs =
      projection === 'separate'
        ? [load('q', rows.q), load('k', rows.k), load('v', rows.v)]
        : [load('qkv', rows.q + rows.k + rows.v)];
    this.#output = Linear.load(source, `${path}.output`, [width, rows.q], attentionBias);
  }

  /** x [N, C] → q [N, H, D], k and v [N, Hkv, D]: views of what the projections give. */
  project(x: Tensor): [q: Tensor, k: Tensor, v: Tensor] {
    const { numHeads, numKvHeads, headDim, projection } = this.options;
    const outputs = this.#inputs.map((input) => input.forward(x));
    const [first, second, third] = outputs as [Tensor, Tensor, Tensor];
    if (projection === 'separate') {
      const [q, k, v] = [first, second, third].map((part) => part.reshape([-1, part.shape[1]! / headDim, headDim]));
      return [q!, k!, v!];
    }
    if (projection === 'fusedByHead') {
      const heads = first.reshape([-1, numHeads, 3 * headDim]);
      return [
        heads.slice(2, 0, headDim),
        heads.slice(2, headDim, 2 * headDim),
        heads.slice(2, 2 * headDim, 3 * headDim),
      ];
    }
    const all = numHeads + 2 * numKvHeads;
    const heads = first.reshape([-1, all, headDim]);
    return [
      heads.slice(1, 0, numHeads),
      heads.slice(1, numHeads, all - numKvHeads),
      heads.slice(1, all - numKvHeads, all),
    ];
  }

  /** What the heads found, [N, H · D] → [N, C], residual added. */
  merge(heads: Tensor, residual: Tensor): Tensor {
    return this.#output.forward(heads, { residual });
  }

  [Symbol.dispose](): void {
    for (const part of [...this.#inputs, this.#output]) part[Symbol.dispose]();
  }
}

/** Causal self-attention over a cache. */
export class SelfAttention implements Disposable {
  readonly #projections: HeadProjections;

  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly layer: number,
    readonly options: BlockOptions,
  ) {
    this.#projections = new HeadProjections(source, path, options);
  }

  /** What `capture` can name below its path. */
  static readonly captures = ['q', 'k', 'v', 'weights', 'heads'];

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor, { positions, cuSeqlens, cache, rotation, bias, capture }: Step): Tensor {
    const { path } = this;
    const { numHeads, headDim, attentionScale: scale } = this.options;
    const [q, k, v] = this.#projections.project(x);
    capture?.offer(`${path}.q`, q);
    capture?.offer(`${path}.k`, k);
    capture?.offer(`${path}.v`, v);
    const turn = (heads: Tensor) =>
      rotation ? rope(heads, positions, rotation.frequencies, { factor: rotation.factor }) : heads;
    cache.append(this.layer, turn(k), v, cuSeqlens);
    const options = { mask: mask.causal(), bias, scale, cuSeqlens };
    const attend = (): Tensor => {
      const keys = cache.layer(this.layer);
      if (!capture?.wants(`${path}.weights`)) return attention(turn(q), keys, options);
      const { output, weights } = attention(turn(q), keys, { ...options, returnWeights: true });
      capture.offer(`${path}.weights`, weights);
      return output;
    };
    const heads = attend().reshape([-1, numHeads * headDim]);
    capture?.offer(`${path}.heads`, heads);
    return this.#projections.merge(heads, residual);
  }

  [Symbol.dispose](): void {
    this.#projections[Symbol.dispose]();
  }
}

/** Two linear layers with an activation between (Vaswani et al., 2017, section 3.3), or three with a gate. */
export class FeedForward implements Disposable {
  readonly #gate: Linear | undefined;
  readonly #up: Linear;
  readonly #down: Linear;

  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly options: Pick<BlockOptions, 'width' | 'innerWidth' | 'activation' | 'gated' | 'feedForwardBias'>,
  ) {
    const { width, innerWidth, feedForwardBias: bias } = options;
    this.#gate = options.gated ? Linear.load(source, `${path}.gate`, [innerWidth, width], bias) : undefined;
    this.#up = Linear.load(source, `${path}.up`, [innerWidth, width], bias);
    this.#down = Linear.load(source, `${path}.down`, [width, innerWidth], bias);
  }

  /** What `capture` can name below its path. */
  static readonly captures = ['inner'];

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor, capture?: Capture): Tensor {
    const { activation } = this.options;
    const inner = this.#gate
      ? gated(this.#gate.forward(x), this.#up.forward(x), { activation })
      : this.#up.forward(x, { activation });
    capture?.offer(`${this.path}.inner`, inner);
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

  constructor(
    source: ParameterSource,
    readonly path: string,
    layer: number,
    readonly options: BlockOptions,
  ) {
    const { width, norm } = options;
    this.#attentionNorm = Norm.load(source, `${path}.attentionNorm`, width, norm);
    this.#attention = new SelfAttention(source, `${path}.attention`, layer, options);
    this.#feedForwardNorm = Norm.load(source, `${path}.feedForwardNorm`, width, norm);
    this.#feedForward = new FeedForward(source, `${path}.feedForward`, options);
  }

  /** What `capture` can name: the block itself, and its parts; those of attention and feed-forward hold the residual. */
  get capturePaths(): string[] {
    return capturePathsOf(this.path, SelfAttention.captures);
  }

  /** x [N, C] → [N, C]. */
  forward(x: Tensor, step: Step): Tensor {
    const { path } = this;
    const { normedResidual = false } = this.options;
    const { capture } = step;
    const [output] = scope(() => {
      const normed = this.#attentionNorm.forward(x);
      const attended = this.#attention.forward(normed, normedResidual ? normed : x, step);
      const inner = this.#feedForwardNorm.forward(attended);
      const output = this.#feedForward.forward(inner, normedResidual ? inner : attended, capture);
      capture?.offer(`${path}.attentionNorm`, normed);
      capture?.offer(`${path}.attention`, attended);
      capture?.offer(`${path}.feedForwardNorm`, inner);
      capture?.offer(`${path}.feedForward`, output);
      capture?.offer(path, output);
      return [output, capture?.tensors] as const; // what is captured outlives the scope
    });
    return output;
  }

  [Symbol.dispose](): void {
    for (const part of [this.#attentionNorm, this.#attention, this.#feedForwardNorm, this.#feedForward]) {
      part[Symbol.dispose]();
    }
  }
}

/** Paths of a block of attention and feed-forward layer, whichever way its norms stand. */
export function capturePathsOf(block: string, attention: readonly string[]): string[] {
  const parts = [
    ...['attentionNorm', 'attention', ...attention.map((name) => `attention.${name}`)],
    ...['feedForwardNorm', 'feedForward', ...FeedForward.captures.map((name) => `feedForward.${name}`)],
  ];
  return [block, ...parts.map((part) => `${block}.${part}`)];
}
