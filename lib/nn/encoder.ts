import type { Activation } from '../ops/activation';
import { add } from '../ops/arithmetic';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import type { FloatDType, Tensor } from '../tensor/tensor';
import { capturePathsOf, Connection, FeedForward } from './block';
import {
  BertSelfAttention,
  type EncoderAttention,
  type EncoderStep,
  type RelativePositions,
} from './encoder-attention';
import { createHead, type EncoderHead, type EncoderHeadOptions, type EncoderOutputs } from './encoder-head';
import { Embedding, Norm, type NormOptions } from './layers';
import { ParameterLog, type Parameter, type ParameterSource } from './parameters';
import { LongformerAttention } from './longformer-attention';

export interface EncoderOptions {
  vocabSize: number;
  /** Tokens that a sequence may have. */
  contextLength: number;
  /** C */
  width: number;
  /** Of the feed-forward layer. */
  innerWidth: number;
  numLayers: number;
  numHeads: number;
  norm: NormOptions;
  activation: Activation;
  /** Kinds that a token may be of: sentence A or B. */
  numTypes: number;
  /** 'learned': a table, added to the tokens; else vectors of the distance between query and key. */
  positions: 'learned' | RelativePositions;
  /** Positions count the tokens but this one, from the number behind it; this one's own is its number. Default: places. */
  padTokenId?: number | undefined;
  /** By layer, keys that a query sees around it, both sides together; default: all. */
  windows?: readonly number[] | undefined;
  head: EncoderHeadOptions;
}

/** A padded batch, N = B · T tokens. */
export interface EncoderInput extends EncoderStep {
  /** [N] int32, as are the others. */
  ids: Tensor;
  positions: Tensor;
  types: Tensor;
}

/** A bidirectional encoder with post-norm blocks (Devlin et al., 2019). Its parameters are read when it is made. */
export class Encoder implements Disposable {
  /** Of parameters and activations. */
  readonly dtype: FloatDType;
  readonly device: DeviceName;
  /** What it is made of. */
  readonly parameters: readonly Parameter[];
  readonly #tokens: Embedding;
  readonly #types: Embedding;
  readonly #positions: Embedding | undefined;
  readonly #embeddingNorm: Norm;
  readonly #blocks: EncoderBlock[];
  readonly #head: EncoderHead;

  constructor(
    from: ParameterSource,
    readonly options: EncoderOptions,
  ) {
    const source = new ParameterLog(from);
    this.parameters = source.taken;
    this.device = source.device;
    const { vocabSize, width, numLayers, numTypes, positions, norm, head } = options;
    const shape = [vocabSize, width] as const;
    const tied = head.kind === 'maskedLM' && head.tied; // then it is packed for the head
    const table = tied ? source.matrix('tokens.weight', shape) : source.dense('tokens.weight', shape);
    this.#tokens = new Embedding(table, source.dtype);
    this.dtype = this.#tokens.dtype;
    this.#types = new Embedding(source.dense('types.weight', [numTypes, width]));
    this.#positions =
      positions === 'learned'
        ? new Embedding(source.dense('positions.weight', [this.positionLimit, width]))
        : undefined;
    this.#embeddingNorm = Norm.load(source, 'embeddingNorm', width, norm);
    this.#blocks = Array.from(
      { length: numLayers },
      (_, layer) => new EncoderBlock(source, `layers.${layer}`, layer, options),
    );
    this.#head = createHead(source, head, { width, vocabSize, norm, tokens: this.#tokens.table });
  }

  /** What `capture` can name: 'embeddings', 'layers.0' … (after that layer), its parts ('layers.0.attention.q'). */
  get capturePaths(): string[] {
    return ['embeddings', ...this.#blocks.flatMap((block) => block.capturePaths)];
  }

  /** Tokens that a sequence may have. */
  get maxPositions(): number {
    return this.options.contextLength;
  }

  /** Numbers that a position may have. */
  get positionLimit(): number {
    const { contextLength, padTokenId } = this.options;
    return padTokenId === undefined ? contextLength : contextLength + padTokenId + 1;
  }

  /** Positions of a row of ids. */
  positionsOf(ids: ArrayLike<number>): Int32Array {
    const { padTokenId } = this.options;
    if (padTokenId === undefined) return Int32Array.from(ids, (_, at) => at);
    let last = padTokenId;
    return Int32Array.from(ids, (id) => (id === padTokenId ? padTokenId : ++last));
  }

  forward(input: EncoderInput): EncoderOutputs {
    const { batch, length, capture } = input;
    const [outputs] = scope(() => {
      let x = this.#embed(input);
      capture?.offer('embeddings', x);
      for (const block of this.#blocks) {
        const before = x;
        x = block.forward(before, input);
        if (!capture?.holds(before)) before.dispose();
      }
      return [this.#head.forward(x, batch, length), capture?.tensors] as const;
    });
    return outputs;
  }

  #embed({ ids, positions, types }: EncoderInput): Tensor {
    const x = add(this.#tokens.forward(ids), this.#types.forward(types));
    return this.#embeddingNorm.forward(this.#positions ? add(x, this.#positions.forward(positions)) : x);
  }

  [Symbol.dispose](): void {
    const parts = [this.#tokens, this.#types, this.#positions, this.#embeddingNorm, ...this.#blocks, this.#head];
    for (const part of parts) part?.[Symbol.dispose]();
  }
}

/** A post-norm block (Vaswani et al., 2017, section 3.1). */
class EncoderBlock implements Disposable {
  readonly #attention: EncoderAttention;
  readonly #attentionConnection: Connection;
  readonly #feedForward: FeedForward;
  readonly #feedForwardConnection: Connection;

  constructor(
    source: ParameterSource,
    readonly path: string,
    layer: number,
    options: EncoderOptions,
  ) {
    const { width, numHeads, norm, contextLength, positions, windows } = options;
    const relative = positions === 'learned' ? undefined : positions;
    const place = `${path}.attention`;
    this.#attention = windows
      ? new LongformerAttention(source, place, {
          width,
          numHeads,
          side: windows[layer]! / 2,
          multiple: Math.max(...windows),
        })
      : new BertSelfAttention(source, place, { width, numHeads, relative, contextLength });
    this.#attentionConnection = new Connection(source, place, { width, norm, postNorm: true });
    this.#feedForward = new FeedForward(source, `${path}.feedForward`, {
      ...options,
      gated: false,
      feedForwardBias: true,
    });
    this.#feedForwardConnection = new Connection(source, `${path}.feedForward`, { width, norm, postNorm: true });
  }

  get capturePaths(): string[] {
    return capturePathsOf(this.path, this.#attention.captures);
  }

  /** x [N, C] → [N, C] */
  forward(x: Tensor, step: EncoderStep): Tensor {
    const { capture } = step;
    const [output] = scope(() => {
      const attended = this.#attentionConnection.forward(x, (y) => this.#attention.forward(y, step), capture);
      const forwarded = (y: Tensor) => this.#feedForward.forward(y, y, step);
      const output = this.#feedForwardConnection.forward(attended, forwarded, capture);
      capture?.offer(this.path, output);
      return [output, capture?.tensors] as const; // what is captured outlives the scope
    });
    return output;
  }

  [Symbol.dispose](): void {
    const parts = [this.#attention, this.#attentionConnection, this.#feedForward, this.#feedForwardConnection];
    for (const part of parts) part[Symbol.dispose]();
  }
}
