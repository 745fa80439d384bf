import { add } from '../ops/add';
import { gatherRows } from '../ops/gather-rows';
import { KVCache } from '../ops/kv-cache';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { TransformerBlock, type BlockOptions, type Step } from './block';
import { Embedding, LayerNorm, Linear } from './layers';
import type { ParameterSource } from './parameters';

export interface DecoderOptions extends Omit<BlockOptions, 'attentionScale'> {
  vocabSize: number;
  /** Positions that there are. */
  contextLength: number;
  numLayers: number;
  /** By layer: what attention scores are multiplied by. */
  attentionScale: (layer: number) => number;
  /** The output head is the token table. */
  tiedHead: boolean;
}

/** Ragged tokens to run: N of B sequences. */
export interface DecoderInput extends Step {
  /** [N] int32 */
  ids: Tensor;
  /** [N] int32 */
  positions: Tensor;
  /** [R] int32: the tokens whose logits are wanted; default: all. */
  rows?: Tensor;
}

export interface DecoderOutput {
  /** [R, V] float32 */
  logits: Tensor;
  /** What was asked for by path: [N, C] float32 each. */
  captured: Record<string, Tensor>;
}

/** A decoder-only Transformer with learned positions. Its parameters are read when it is made. */
export class Decoder implements Disposable {
  readonly #tokens: Embedding;
  readonly #positions: Embedding;
  readonly #blocks: TransformerBlock[];
  readonly #norm: LayerNorm;
  readonly #head: Linear;

  constructor(
    source: ParameterSource,
    readonly options: DecoderOptions,
  ) {
    const { vocabSize, contextLength, width, numLayers, normEps, attentionScale, tiedHead } = options;
    const table = [vocabSize, width] as const;
    // A tied table is packed for the head, and its rows are picked from there.
    this.#tokens = new Embedding(
      tiedHead ? source.matrix('tokens.weight', table) : source.dense('tokens.weight', table),
    );
    this.#positions = new Embedding(source.dense('positions.weight', [contextLength, width]));
    this.#blocks = Array.from(
      { length: numLayers },
      (_, layer) =>
        new TransformerBlock(source, `layers.${layer}`, layer, { ...options, attentionScale: attentionScale(layer) }),
    );
    this.#norm = LayerNorm.load(source, 'norm', width, normEps);
    this.#head = new Linear(tiedHead ? this.#tokens.table : source.matrix('head.weight', table));
  }

  /** What `capture` can name: 'embeddings', 'layers.0' … (after that layer), 'norm'. */
  get capturePaths(): string[] {
    return ['embeddings', ...this.#blocks.map((_, layer) => `layers.${layer}`), 'norm'];
  }

  createCache(batch: number, capacity: number): KVCache {
    const { numLayers, numHeads, headDim } = this.options;
    return new KVCache({ numLayers, batch, capacity, numKvHeads: numHeads, headDim });
  }

  /** Runs a step and advances its cache. */
  forward(input: DecoderInput, capture: readonly string[] = []): DecoderOutput {
    return scope(() => {
      const captured: Record<string, Tensor> = {};
      // A block's input goes when the block has read it, unless it was asked for.
      const tap = (path: string, x: Tensor): Tensor => (capture.includes(path) ? (captured[path] = x) : x);
      let x = tap('embeddings', add(this.#tokens.forward(input.ids), this.#positions.forward(input.positions)));
      for (const [layer, block] of this.#blocks.entries()) {
        const before = x;
        x = tap(`layers.${layer}`, block.forward(before, input));
        if (!Object.values(captured).includes(before)) before.dispose();
      }
      input.cache.advance(input.cuSeqlens);
      if (capture.includes('norm')) captured.norm = this.#norm.forward(x);
      const wanted = input.rows ? gatherRows(x, input.rows) : x;
      return { logits: this.#head.forward(this.#norm.forward(wanted)), captured };
    });
  }

  [Symbol.dispose](): void {
    for (const part of [this.#tokens, this.#positions, ...this.#blocks, this.#norm, this.#head]) part[Symbol.dispose]();
  }
}
