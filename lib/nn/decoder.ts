import { add } from '../ops/arithmetic';
import { bias, type Bias } from '../ops/bias';
import { gatherRows } from '../ops/gather-rows';
import { KVCache } from '../ops/kv-cache';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import { tensor, type FloatDType, type Tensor } from '../tensor/tensor';
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
  /** 'learned': a table, added to the tokens; 'alibi': a bias of the scores; else queries and keys are rotated. */
  positions: 'learned' | 'alibi' | RotaryOptions;
  /** Embeddings are normalized before the first block. Default false. */
  embeddingNorm?: boolean | undefined;
}

/** Ragged tokens to run: N of B sequences. */
export interface DecoderInput extends Omit<Step, 'rotation' | 'bias'> {
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
}

/** Positions by linear biases (Press et al., 2022): between places among the keys, so that padding does not count. */
class Alibi implements Disposable {
  readonly #slopes: Tensor;

  constructor(numHeads: number, device: DeviceName) {
    this.#slopes = tensor(Float32Array.from(bias.alibiSlopes(numHeads)), [numHeads], { device });
  }

  bias(): Bias {
    return bias.alibi(this.#slopes);
  }

  [Symbol.dispose](): void {
    this.#slopes.dispose();
  }
}

/** A decoder-only Transformer. Its parameters are read when it is made. */
export class Decoder implements Disposable {
  /** Of parameters, activations and cache. */
  readonly dtype: FloatDType;
  readonly #tokens: Embedding;
  readonly #positions: Embedding | Alibi | Rotary;
  readonly #embeddingNorm: Norm | undefined;
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
    const { vocabSize, contextLength, width, numLayers, numHeads, norm, attentionScale, tiedHead, positions } = options;
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
        : positions === 'alibi'
          ? new Alibi(numHeads, source.device)
          : new Rotary(positions, source.device);
    this.#embeddingNorm = options.embeddingNorm ? Norm.load(source, 'embeddingNorm', width, norm) : undefined;
    this.#blocks = Array.from(
      { length: numLayers },
      (_, layer) =>
        new TransformerBlock(source, `layers.${layer}`, layer, { ...options, attentionScale: attentionScale(layer) }),
    );
    this.#norm = Norm.load(source, 'norm', width, norm);
    this.#head = new Linear(tiedHead ? this.#tokens.table : source.matrix('head.weight', table));
  }

  /** What `capture` can name: 'embeddings', 'layers.0' … (after that layer), its parts ('layers.0.attention.q'), 'norm'. */
  get capturePaths(): string[] {
    return ['embeddings', ...this.#blocks.flatMap((block) => block.capturePaths), 'norm'];
  }

  /** Positions that there are. */
  get maxPositions(): number {
    return this.options.positions === 'learned' ? this.options.contextLength : 2 ** 31 - 1;
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
    const { numLayers, numKvHeads, headDim } = this.options;
    const { device, dtype } = this;
    return new KVCache({ numLayers, batch, capacity, numKvHeads, headDim, device, dtype });
  }

  /** Runs a step and advances its cache. */
  forward(input: DecoderInput): DecoderOutput {
    const { capture } = input;
    const [output] = scope(() => {
      let x = this.#embed(input);
      capture?.offer('embeddings', x);
      const positions = this.#positions;
      const rotation = positions instanceof Rotary ? positions.rotation(input.last ?? input.positions) : undefined;
      const step = { ...input, rotation, bias: positions instanceof Alibi ? positions.bias() : undefined };
      for (const block of this.#blocks) {
        const before = x;
        x = block.forward(before, step);
        // A block's input goes when the block has read it, unless it was asked for.
        if (!capture?.holds(before)) before.dispose();
      }
      input.cache.advance(input.cuSeqlens);
      const logits = this.#head.forward(this.#last(x, input), { outDtype: 'float32' });
      return [{ logits }, capture?.tensors] as const;
    });
    return output;
  }

  #embed({ ids, positions: places }: DecoderInput): Tensor {
    const positions = this.#positions;
    const tokens = this.#tokens.forward(ids);
    const x = positions instanceof Embedding ? add(tokens, positions.forward(places)) : tokens;
    return this.#embeddingNorm?.forward(x) ?? x;
  }

  /** Normalizes the rows whose logits are wanted, or all where all are asked for. */
  #last(x: Tensor, { rows, capture }: DecoderInput): Tensor {
    const pick = (all: Tensor): Tensor => (rows ? gatherRows(all, rows) : all);
    if (!capture?.wants('norm')) return this.#norm.forward(pick(x));
    const normed = this.#norm.forward(x);
    capture.offer('norm', normed);
    return pick(normed);
  }

  [Symbol.dispose](): void {
    const parts = [this.#tokens, this.#positions, this.#embeddingNorm, ...this.#blocks, this.#norm, this.#head];
    for (const part of parts) part?.[Symbol.dispose]();
  }
}
