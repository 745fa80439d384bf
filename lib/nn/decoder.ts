import { KVCache } from '../ops/kv-cache';
import { PagePool } from '../ops/page-pool';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import type { CacheDType, FloatDType, Tensor } from '../tensor/tensor';
import { Embedding, Linear } from './layers';
import { ParameterLog, type Parameter, type ParameterSource } from './parameters';
import { Stack, type StackInput, type StackOptions } from './stack';

export interface DecoderOptions extends StackOptions {
  vocabSize: number;
  /** The output head is the token table. */
  tiedHead: boolean;
}

/** Ragged tokens to run: N of B sequences. Logits are those of `rows`. */
export interface DecoderInput extends StackInput {
  /** Give `hidden`, too. Default false. */
  wantsHidden?: boolean | undefined;
}

export interface DecoderOutput {
  /** [R, V] float32 */
  logits: Tensor;
  /** [R, C] of the model's dtype, if it was wanted: what the head reads. */
  hidden?: Tensor;
}

/** A decoder-only Transformer. Its parameters are read when it is made. */
export class Decoder implements Disposable {
  /** Of parameters and activations. */
  readonly dtype: FloatDType;
  /** Of cached keys and values. */
  readonly cacheDtype: CacheDType;
  readonly device: DeviceName;
  /** What it is made of. */
  readonly parameters: readonly Parameter[];
  readonly #stack: Stack;
  readonly #head: Linear;

  constructor(
    from: ParameterSource,
    readonly options: DecoderOptions,
  ) {
    const source = new ParameterLog(from);
    this.parameters = source.taken;
    this.device = source.device;
    const { vocabSize, width, tiedHead } = options;
    const table = [vocabSize, width] as const;
    // A tied table is packed for the head, and its rows are picked from there.
    const tokens = tiedHead ? source.matrix('tokens.weight', table) : source.dense('tokens.weight', table);
    const embedding = new Embedding(tokens, source.dtype);
    this.dtype = embedding.dtype;
    this.cacheDtype = source.cacheDtype ?? this.dtype;
    this.#stack = new Stack(source, '', options, embedding);
    this.#head = new Linear(tiedHead ? tokens : source.matrix('head.weight', table));
  }

  /** What `capture` can name: 'embeddings', 'layers.0' … (after that layer), its parts ('layers.0.attention.q'), 'norm'. */
  get capturePaths(): string[] {
    return this.#stack.capturePaths;
  }

  /** Positions that there are. */
  get maxPositions(): number {
    return this.#stack.maxPositions;
  }

  /** Numbers that a position may have. */
  get positionLimit(): number {
    return this.maxPositions;
  }

  /** Positions of a row of ids. */
  positionsOf(ids: ArrayLike<number>): Int32Array {
    return Int32Array.from(ids, (_, at) => at);
  }

  createCache(batch: number, capacity: number): KVCache {
    return new KVCache({ ...this.#cacheOptions, batch, capacity });
  }

  /** Pages for sequences that come and go. */
  createPool(): PagePool {
    return new PagePool(this.#cacheOptions);
  }

  get #cacheOptions() {
    const { numLayers, numKvHeads, headDim } = this.options;
    return { numLayers, numKvHeads, headDim, device: this.device, dtype: this.cacheDtype };
  }

  /** Runs a step and advances its cache. */
  forward(input: DecoderInput): DecoderOutput {
    const { cache, cuSeqlens, capture, wantsHidden = false } = input;
    const [output] = scope(() => {
      const hidden = this.#stack.forward(input);
      cache.advance(cuSeqlens);
      const logits = this.#head.forward(hidden, { outDtype: 'float32' });
      return [{ logits, ...(wantsHidden && { hidden }) }, capture?.tensors] as const;
    });
    return output;
  }

  [Symbol.dispose](): void {
    for (const part of [this.#stack, this.#head]) part[Symbol.dispose]();
  }
}
