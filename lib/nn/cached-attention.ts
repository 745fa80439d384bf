import { attention, type CachedAttentionOptions } from '../ops/attention';
import type { Bias } from '../ops/bias';
import type { CachedKeys, KVCache, LayerCache } from '../ops/kv-cache';
import { mask } from '../ops/mask';
import { rope } from '../ops/rope';
import type { Tensor } from '../tensor/tensor';
import type { Capture } from './capture';
import { Linear } from './layers';
import type { ParameterSource } from './parameters';
import type { Rotation } from './rotary';

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
  /** What attention to a source reads: its keys and values, by layer. */
  source?: CachedKeys | undefined;
  /** Inner tensors wanted, if any. */
  capture?: Capture | undefined;
}

export interface HeadProjectionsOptions {
  /** C */
  width: number;
  numHeads: number;
  /** Key and value heads, each shared by numHeads / numKvHeads query heads. */
  numKvHeads: number;
  headDim: number;
  /** Queries, keys and values in the checkpoint: three matrices; one, all queries first; or one, head by head. */
  projection: 'separate' | 'fused' | 'fusedByHead';
  attentionBias: boolean;
}

/** Of attention over a cache. */
export interface CachedHeadsOptions extends HeadProjectionsOptions {
  /** Scores are multiplied by it. */
  attentionScale: number;
  /** A token attends to itself and those before; false: to all. Default true. */
  causal?: boolean | undefined;
}

/** The projections of multi-head attention (Vaswani et al., 2017, section 3.2.2), with grouped heads. */
export class HeadProjections implements Disposable {
  /** One projection of all, or three. */
  readonly #inputs: Linear[];
  readonly #output: Linear;

  constructor(
    source: ParameterSource,
    path: string,
    readonly options: HeadProjectionsOptions,
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
    if (projection === 'separate') return [this.part('q', x), this.part('k', x), this.part('v', x)];
    const first = this.#inputs[0]!.forward(x);
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

  /** One of them, where they are separate. */
  part(name: 'q' | 'k' | 'v', x: Tensor): Tensor {
    const output = this.#inputs['qkv'.indexOf(name)]!.forward(x);
    const { headDim } = this.options;
    return output.reshape([-1, output.shape[1]! / headDim, headDim]);
  }

  /** What the heads found, [N, H · D] → [N, C], residual added. */
  merge(heads: Tensor, residual: Tensor): Tensor {
    return this.#output.forward(heads, { residual });
  }

  [Symbol.dispose](): void {
    for (const part of [...this.#inputs, this.#output]) part[Symbol.dispose]();
  }
}

/** What attention over a cache finds, [N, H · D]; `capture` gets it as `heads`, and the `weights` if they are wanted. */
function attend(
  q: Tensor,
  keys: LayerCache,
  options: CachedAttentionOptions,
  path: string,
  capture: Capture | undefined,
): Tensor {
  const run = (): Tensor => {
    if (!capture?.wants(`${path}.weights`)) return attention(q, keys, options);
    const { output, weights } = attention(q, keys, { ...options, returnWeights: true });
    capture.offer(`${path}.weights`, weights);
    return output;
  };
  const heads = run().reshape([-1, q.shape[1]! * keys.valueDim]);
  capture?.offer(`${path}.heads`, heads);
  return heads;
}

/** Self-attention over a cache, causal or not. */
export class SelfAttention implements Disposable {
  readonly #projections: HeadProjections;

  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly layer: number,
    readonly options: CachedHeadsOptions,
  ) {
    this.#projections = new HeadProjections(source, path, options);
  }

  /** What `capture` can name below its path. */
  static readonly captures = ['q', 'k', 'v', 'weights', 'heads'];

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor, { positions, cuSeqlens, cache, rotation, bias, capture }: Step): Tensor {
    const { path } = this;
    const { attentionScale: scale, causal = true } = this.options;
    const [q, k, v] = this.#projections.project(x);
    capture?.offer(`${path}.q`, q);
    capture?.offer(`${path}.k`, k);
    capture?.offer(`${path}.v`, v);
    const turn = (heads: Tensor) =>
      rotation ? rope(heads, positions, rotation.frequencies, { factor: rotation.factor }) : heads;
    cache.append(this.layer, turn(k), v, cuSeqlens);
    const options = { mask: causal ? mask.causal() : undefined, bias, scale, cuSeqlens };
    const heads = attend(turn(q), cache.layer(this.layer), options, path, capture);
    return this.#projections.merge(heads, residual);
  }

  [Symbol.dispose](): void {
    this.#projections[Symbol.dispose]();
  }
}

/** Attention to a source, whose keys and values are there already (Vaswani et al., 2017, section 3.2.3). */
export class CrossAttention implements Disposable {
  readonly #projections: HeadProjections;

  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly layer: number,
    readonly options: CachedHeadsOptions,
  ) {
    this.#projections = new HeadProjections(source, path, { ...options, projection: 'separate' });
  }

  /** What `capture` can name below its path. */
  static readonly captures = ['q', 'weights', 'heads'];

  /** Puts keys and values of a source's tokens x [N, C] into a cache. */
  append(x: Tensor, cache: KVCache, cuSeqlens: Tensor): void {
    cache.append(this.layer, this.#projections.part('k', x), this.#projections.part('v', x), cuSeqlens);
  }

  /** x [N, C] → [N, C], residual added. */
  forward(x: Tensor, residual: Tensor, { cuSeqlens, source, capture }: Step): Tensor {
    const { path, layer } = this;
    if (!source) throw new TypeError(`[${path}] a step needs a source, since the block attends to one`);
    const q = this.#projections.part('q', x);
    capture?.offer(`${path}.q`, q);
    const options = { cross: true, scale: this.options.attentionScale, cuSeqlens };
    return this.#projections.merge(attend(q, source.layer(layer), options, path, capture), residual);
  }

  [Symbol.dispose](): void {
    this.#projections[Symbol.dispose]();
  }
}
