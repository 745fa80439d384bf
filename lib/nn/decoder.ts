import { add } from '../ops/arithmetic';
import { gatherRows } from '../ops/gather-rows';
import { KVCache } from '../ops/kv-cache';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import type { FloatDType, Tensor } from '../tensor/tensor';
import { TransformerBlock, type BlockOptions, type Step } from './block';
import { Embedding, Linear, Norm } from './layers';
import { ParameterLog, type Parameter, type ParameterSource } from './parameters';
import { Rotary, type RotaryOptions } from './rotary';

export interface DecoderOptions extends Omit<BlockOptions, 'attentionScale'> {
  vocabSize: number;
  /** Positions it was made for: a limit only where they are learned. */
  contextLength: number;
  numLayers: number;
  /** By layer: what attention scores are multiplied by. */
  attentionScale: (layer: number) => number;
  /** The output head is the token table. */
  tiedHead: boolean;
  /** 'learned': a table, added to the tokens; else queries and keys are rotated. */
  positions: 'learned' | RotaryOptions;
}

/** Ragged tokens to run: N of B sequences. */
export interface DecoderInput extends Omit<Step, 'rotation'> {
  /** [N] int32 */
  ids: Tensor;
  /** [M] int32: last positions of the whole rows, where this step runs but a part of them. Default: positions. */
  last?: Tensor;
  /** [R] int32: the tokens whose logits are wanted; default: all. */
  rows?: Tensor;
}

export interface DecoderOutput {
  /** [R, V] float32 */
  logits: Tensor;
  /** What was asked for by path: [N, C] each, of the model's dtype. */
  captured: Record<string, Tensor>;
}

/** A decoder-only Transformer. Its parameters are read when it is made. */
export class Decoder implements Disposable {
  /** Of parameters, activations and cache. */
  readonly dtype: FloatDType;
  readonly #tokens: Embedding;
  readonly #positions: Embedding | Rotary;
  readonly #blocks: TransformerBlock[];
  readonly #norm: Norm;
  readonly #head: Linear;
  readonly device: DeviceName;

  /** What it is made of. */
  readonly parameters: readonly Parameter[];

  constructor(
    from: ParameterSource,
    readonly options: DecoderOptions,
  ) {
    const source = new ParameterLog(from);
    this.parameters = source.taken;
    const { vocabSize, contextLength, width, numLayers, norm, attentionScale, tiedHead, positions } = options;
    this.device = source.device;
    const table = [vocabSize, width] as const;
    // A tied table is packed for the head, and its rows are picked from there.
    this.#tokens = new Embedding(
      tiedHead ? source.matrix('tokens.weight', table) : source.dense('tokens.weight', table),
    );
    this.dtype = this.#tokens.table.dtype as FloatDType;
    this.#positions =
      positions === 'learned'
        ? new Embedding(source.dense('positions.weight', [contextLength, width]))
        : new Rotary(positions, source.device);
    this.#blocks = Array.from(
      { length: numLayers },
      (_, layer) =>
        new TransformerBlock(source, `layers.${layer}`, layer, { ...options, attentionScale: attentionScale(layer) }),
    );
    this.#norm = Norm.load(source, 'norm', width, norm);
    this.#head = new Linear(tiedHead ? this.#tokens.table : source.matrix('head.weight', table));
  }

  /** What `capture` can name: 'embeddings', 'layers.0' … (after that layer), 'norm'. */
  get capturePaths(): string[] {
    return ['embeddings', ...this.#blocks.map((_, layer) => `layers.${layer}`), 'norm'];
  }

  /** Positions that there are. */
  get maxPositions(): number {
    return this.options.positions === 'learned' ? this.options.contextLength : 2 ** 31 - 1;
  }

  createCache(batch: number, capacity: number): KVCache {
    const { numLayers, numKvHeads, headDim } = this.options;
    const { device, dtype } = this;
    return new KVCache({ numLayers, batch, capacity, numKvHeads, headDim, device, dtype });
  }

  /** Runs a step and advances its cache. */
  forward(input: DecoderInput, capture: readonly string[] = []): DecoderOutput {
    return scope(() => {
      const captured: Record<string, Tensor> = {};
      const tap = (path: string, x: Tensor): Tensor => (capture.includes(path) ? (captured[path] = x) : x);
      const tokens = this.#tokens.forward(input.ids);
      const positions = this.#positions;
      const learned = positions instanceof Embedding;
      let x = tap('embeddings', learned ? add(tokens, positions.forward(input.positions)) : tokens);
      const rotation = learned ? undefined : positions.rotation(input.last ?? input.positions);
      const step = { ...input, rotation };
      for (const [layer, block] of this.#blocks.entries()) {
        const before = x;
        x = tap(`layers.${layer}`, block.forward(before, step));
        // A block's input goes when the block has read it, unless it was asked for.
        if (!Object.values(captured).includes(before)) before.dispose();
      }
      input.cache.advance(input.cuSeqlens);
      const pick = (all: Tensor): Tensor => (input.rows ? gatherRows(all, input.rows) : all);
      // Only the rows that are wanted are normalized, unless all are asked for.
      const last = capture.includes('norm') ? pick(tap('norm', this.#norm.forward(x))) : this.#norm.forward(pick(x));
      return { logits: this.#head.forward(last, { outDtype: 'float32' }), captured };
    });
  }

  [Symbol.dispose](): void {
    for (const part of [this.#tokens, this.#positions, ...this.#blocks, this.#norm, this.#head]) part[Symbol.dispose]();
  }
}
