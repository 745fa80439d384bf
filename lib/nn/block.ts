import { gated, type Activation } from '../ops/activation';
import type { KVCache } from '../ops/kv-cache';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { CrossAttention, SelfAttention, type CachedHeadsOptions, type Step } from './cached-attention';
import type { Capture } from './capture';
import { Linear, Norm, type NormOptions } from './layers';
import type { ParameterSource } from './parameters';

export interface BlockOptions extends CachedHeadsOptions {
  /** Of the feed-forward layer. */
  innerWidth: number;
  norm: NormOptions;
  activation: Activation;
  /** The feed-forward layer has a gate: activation(gate) · up. */
  gated: boolean;
  feedForwardBias: boolean;
  /** Norms stand behind the sums, not before the parts (Xiong et al., 2020, figure 1). Default false. */
  postNorm?: boolean | undefined;
  /** What a pre-norm block's parts are added to is their normalized input. Default false: the input. */
  normedResidual?: boolean | undefined;
  /** Attention to a source stands before the feed-forward layer (Vaswani et al., 2017, section 3.1). Default false. */
  crossAttention?: boolean | undefined;
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
  forward(x: Tensor, residual: Tensor, { capture }: Pick<Step, 'capture'> = {}): Tensor {
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

/**
 * A part of a block in its residual connection: x + part(norm(x)), or post-norm norm(x + part(x)). The part adds the
 * residual itself.
 */
export class Connection implements Disposable {
  readonly #norm: Norm;

  /** `path` is that of the part; its norm's is the same with `Norm` behind. */
  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly options: Pick<BlockOptions, 'width' | 'norm' | 'postNorm' | 'normedResidual'>,
  ) {
    this.#norm = Norm.load(source, `${path}Norm`, options.width, options.norm);
  }

  /** x [N, C] → [N, C]. `capture` gets the sum by the part's path, and what the norm gives by the norm's. */
  forward(x: Tensor, part: (x: Tensor, residual: Tensor) => Tensor, capture: Capture | undefined): Tensor {
    const { postNorm = false, normedResidual = false } = this.options;
    const input = postNorm ? x : this.#norm.forward(x);
    const sum = part(input, normedResidual ? input : x);
    const output = postNorm ? this.#norm.forward(sum) : sum;
    capture?.offer(`${this.path}Norm`, postNorm ? output : input);
    capture?.offer(this.path, sum);
    return output;
  }

  [Symbol.dispose](): void {
    this.#norm[Symbol.dispose]();
  }
}

/** Self-attention, attention to a source if there is one, and a feed-forward layer, each in its residual connection. */
export class TransformerBlock implements Disposable {
  readonly #crossAttention: CrossAttention | undefined;
  readonly #parts: { part: SelfAttention | CrossAttention | FeedForward; connection: Connection }[];

  constructor(
    source: ParameterSource,
    readonly path: string,
    layer: number,
    readonly options: BlockOptions,
  ) {
    const attention = new SelfAttention(source, `${path}.attention`, layer, options);
    this.#crossAttention = options.crossAttention
      ? new CrossAttention(source, `${path}.crossAttention`, layer, options)
      : undefined;
    const feedForward = new FeedForward(source, `${path}.feedForward`, options);
    this.#parts = [attention, this.#crossAttention, feedForward].flatMap((part) =>
      part ? { part, connection: new Connection(source, part.path, options) } : [],
    );
  }

  /** What `capture` can name: the block itself, and its parts; those of attention and feed-forward hold the residual. */
  get capturePaths(): string[] {
    return capturePathsOf(this.path, SelfAttention.captures, this.#crossAttention && CrossAttention.captures);
  }

  /** Puts what attention to a source needs of its tokens x [N, C] into a cache. */
  appendSource(x: Tensor, cache: KVCache, cuSeqlens: Tensor): void {
    scope(() => {
      this.#crossAttention?.append(x, cache, cuSeqlens);
    });
  }

  /** x [N, C] → [N, C]. */
  forward(x: Tensor, step: Step): Tensor {
    const { capture } = step;
    const [output] = scope(() => {
      let y = x;
      for (const { part, connection } of this.#parts) {
        y = connection.forward(y, (input, residual) => part.forward(input, residual, step), capture);
      }
      capture?.offer(this.path, y);
      return [y, capture?.tensors] as const; // what is captured outlives the scope
    });
    return output;
  }

  [Symbol.dispose](): void {
    for (const { part, connection } of this.#parts) {
      part[Symbol.dispose]();
      connection[Symbol.dispose]();
    }
  }
}

/** Paths of a block of attention, to a source too if it has that, and feed-forward layer. */
export function capturePathsOf(block: string, attention: readonly string[], cross?: readonly string[]): string[] {
  const parts = { attention, ...(cross && { crossAttention: cross }), feedForward: FeedForward.captures };
  return [
    block,
    ...Object.entries(parts).flatMap(([part, inner]) =>
      [`${part}Norm`, part, ...inner.map((name) => `${part}.${name}`)].map((path) => `${block}.${path}`),
    ),
  ];
}
