import { add } from '../ops/arithmetic';
import { gatherRows } from '../ops/gather-rows';
import type { KVCache } from '../ops/kv-cache';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import { tensor, type FloatDType, type Tensor } from '../tensor/tensor';
import { TransformerBlock, type BlockOptions } from './block';
import type { Step } from './cached-attention';
import { Embedding, Norm, scaleBy } from './layers';
import { join, type ParameterSource } from './parameters';
import { Alibi, Buckets, type BucketOptions, type PositionBias } from './position-bias';
import { sinusoidalPositions } from './positions';
import { Rotary, type RotaryOptions } from './rotary';

export interface StackOptions extends Omit<BlockOptions, 'attentionScale'> {
  /** Positions it was made for: a limit only where they are a table. */
  contextLength: number;
  numLayers: number;
  /** By layer: what attention scores are multiplied by. */
  attentionScale: (layer: number) => number;
  /**
   * 'learned': a table, added to the tokens; 'sinusoidal': one of sines, then cosines (Vaswani et al., 2017, section
   * 3.5); 'alibi' or buckets of distances: a bias of the scores; else queries and keys are rotated.
   */
  positions: 'learned' | 'sinusoidal' | 'alibi' | BucketOptions | RotaryOptions;
  /** Vectors of tokens are multiplied by it. Default 1. */
  embeddingScale?: number | undefined;
  /** Embeddings are normalized before the first block. Default false. */
  embeddingNorm?: boolean | undefined;
  /** What the last block gives is normalized. Default true. */
  finalNorm?: boolean | undefined;
}

/** Ragged tokens to run: N of B sequences. */
export interface StackInput extends Omit<Step, 'rotation' | 'bias'> {
  /** [N] int32 */
  ids: Tensor;
  /** [M] int32: last positions of the whole rows, where this step runs but a part of them. Default: positions. */
  last?: Tensor | undefined;
  /** [R] int32: the tokens whose vectors are wanted; default: all. */
  rows?: Tensor | undefined;
  /** [B, T] int32: positions of the keys, for buckets, where they are not their places: padding between tokens. */
  keyPositions?: Tensor | undefined;
}

/** Embedded tokens through blocks: a decoder without its head, or an encoder (`causal: false`). */
export class Stack implements Disposable {
  readonly #positions: Embedding | PositionBias | Rotary;
  readonly #embeddingNorm: Norm | undefined;
  readonly #blocks: TransformerBlock[];
  readonly #norm: Norm | undefined;

  /** `path`: '' for a stack that is the whole model. The token table is the caller's. */
  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly options: StackOptions,
    readonly tokens: Embedding,
  ) {
    const { width, numLayers, norm, attentionScale, causal = true, embeddingNorm = false, finalNorm = true } = options;
    this.#positions = createPositions(source, join(path, 'positions'), options, tokens.dtype);
    this.#embeddingNorm = embeddingNorm ? Norm.load(source, join(path, 'embeddingNorm'), width, norm) : undefined;
    this.#blocks = Array.from({ length: numLayers }, (_, layer) => {
      const own = { ...options, attentionScale: attentionScale(layer) };
      // What a block of an encoder holds nobody reads behind it: all have the same pages.
      return new TransformerBlock(source, join(path, `layers.${layer}`), causal ? layer : 0, own);
    });
    this.#norm = finalNorm ? Norm.load(source, join(path, 'norm'), width, norm) : undefined;
  }

  /** What `capture` can name: 'embeddings', 'layers.0' … (after that layer), its parts ('layers.0.attention.q'), 'norm'. */
  get capturePaths(): string[] {
    const ends = this.#norm ? [join(this.path, 'norm')] : [];
    return [join(this.path, 'embeddings'), ...this.#blocks.flatMap((block) => block.capturePaths), ...ends];
  }

  /** Positions that there are. */
  get maxPositions(): number {
    const { positions, contextLength } = this.options;
    return positions === 'learned' || positions === 'sinusoidal' ? contextLength : 2 ** 31 - 1;
  }

  /** Puts what the blocks need of a source's tokens x [N, C] into a cache. */
  appendSource(x: Tensor, cache: KVCache, cuSeqlens: Tensor): void {
    for (const block of this.#blocks) block.appendSource(x, cache, cuSeqlens);
  }

  /** [R, C]: the wanted tokens behind the last block, normalized. The cache is not advanced. */
  forward(input: StackInput): Tensor {
    const { capture, positions: queryPositions, keyPositions } = input;
    const [output] = scope(() => {
      let x = this.#embed(input);
      capture?.offer(join(this.path, 'embeddings'), x);
      const positions = this.#positions;
      const rotation = positions instanceof Rotary ? positions.rotation(input.last ?? input.positions) : undefined;
      const given = keyPositions && { queryPositions, keyPositions };
      const step = { ...input, rotation, bias: 'bias' in positions ? positions.bias(given ?? {}) : undefined };
      for (const block of this.#blocks) {
        const before = x;
        x = block.forward(before, step);
        // A block's input goes when the block has read it, unless it was asked for.
        if (!capture?.holds(before)) before.dispose();
      }
      return [this.#last(x, input), capture?.tensors] as const;
    });
    return output;
  }

  #embed({ ids, positions: places }: StackInput): Tensor {
    const positions = this.#positions;
    const { embeddingScale = 1 } = this.options;
    const tokens = scaleBy(this.tokens.forward(ids), embeddingScale);
    const x = positions instanceof Embedding ? add(tokens, positions.forward(places)) : tokens;
    return this.#embeddingNorm?.forward(x) ?? x;
  }

  /** Normalizes the rows that are wanted, or all where all are asked for. */
  #last(x: Tensor, { rows, capture }: StackInput): Tensor {
    const pick = (all: Tensor): Tensor => (rows ? gatherRows(all, rows) : all);
    const path = join(this.path, 'norm');
    if (!this.#norm) return pick(x);
    if (!capture?.wants(path)) return this.#norm.forward(pick(x));
    const normed = this.#norm.forward(x);
    capture.offer(path, normed);
    return pick(normed);
  }

  [Symbol.dispose](): void {
    const parts = [this.tokens, this.#positions, this.#embeddingNorm, ...this.#blocks, this.#norm];
    for (const part of parts) part?.[Symbol.dispose]();
  }
}

function createPositions(
  source: ParameterSource,
  path: string,
  { positions, contextLength, width, numHeads, causal = true }: StackOptions,
  dtype: FloatDType,
): Embedding | PositionBias | Rotary {
  const { device } = source;
  if (positions === 'learned') return new Embedding(source.dense(`${path}.weight`, [contextLength, width]));
  if (positions === 'sinusoidal') return sinusoids([contextLength, width], dtype, device);
  if (positions === 'alibi') return new Alibi(numHeads, device);
  if ('numBuckets' in positions) return new Buckets(source, path, positions, { numHeads, bidirectional: !causal });
  return new Rotary(positions, device);
}

function sinusoids(shape: readonly [number, number], dtype: FloatDType, device: DeviceName): Embedding {
  const table = sinusoidalPositions({ length: shape[0], dim: shape[1], layout: 'halves' });
  return new Embedding(tensor(Float32Array.from(table), shape, { dtype, device }));
}
