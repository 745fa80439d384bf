import { rangeError } from '../check';
import { KVCache, type CachedKeys } from '../ops/kv-cache';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import type { CacheDType, FloatDType, Tensor } from '../tensor/tensor';
import type { Capture } from './capture';
import type { DecoderInput, DecoderOutput } from './decoder';
import { Embedding, Linear, scaleBy } from './layers';
import { ParameterLog, type Parameter, type ParameterSource } from './parameters';
import { Ragged } from './ragged';
import { Stack, type StackOptions } from './stack';

export interface EncoderDecoderOptions {
  /** V, of targets: of logits. */
  vocabSize: number;
  /** Of sources. */
  sourceVocabSize: number;
  /** Target positions that it was made for. */
  contextLength: number;
  encoder: Omit<StackOptions, 'causal' | 'crossAttention'>;
  /** Of the encoder's width. */
  decoder: Omit<StackOptions, 'causal' | 'crossAttention'>;
  /** Sources and targets have one token table. */
  sharedTokens: boolean;
  /** The output head is the targets' token table. */
  tiedHead: boolean;
  headBias: boolean;
  /** What the head reads is multiplied by it. Default 1. */
  headScale?: number | undefined;
  /** What a target begins with. */
  decoderStartTokenId: number;
}

/** Sources to read: rows of token ids. */
export interface SourceInput {
  ids: readonly ArrayLike<number>[];
  /** 1: a token, 0: padding, of the shape of ids. Default: all tokens. Positions are places in the row, padding counted. */
  mask?: readonly ArrayLike<number>[] | undefined;
  /** Inner tensors wanted, if any. */
  capture?: Capture | undefined;
  /** Keep `hidden`. Default false. */
  wantsHidden?: boolean | undefined;
}

/** What a decoder needs of sources that were read: the keys and values of its attention to them, computed once. */
export class Source implements Disposable {
  /** For the library: see EncoderDecoder. */
  constructor(
    readonly keys: CachedKeys,
    /** [N, C]: what the encoder gave for the tokens of all rows, if it was wanted. */
    readonly hidden?: Tensor,
  ) {}

  /** Rows. */
  get batch(): number {
    return this.keys.lengths.shape[0]!;
  }

  /**
   * Every row `times` times, one behind the other, in the same memory: row r is source ⌊r / times⌋. Both are to be
   * disposed of.
   */
  repeat(times: number): Source {
    return new Source(this.keys.repeat(times));
  }

  /** These rows, in the same memory. Both are to be disposed of. */
  pick(rows: Int32Array): Source {
    return new Source(this.keys.pick(rows));
  }

  [Symbol.dispose](): void {
    this.keys.dispose();
    this.hidden?.dispose();
  }
}

/** A decoder over sources: what generation sees of a model. */
export interface SourceDecoder {
  readonly device: DeviceName;
  /** @throws RangeError for another batch than the source's. */
  createCache(batch: number, capacity: number): KVCache;
  /** Runs a step and advances its cache. */
  forward(input: Omit<DecoderInput, 'source'>): DecoderOutput;
}

/**
 * An encoder, and a decoder that attends to what it gives (Vaswani et al., 2017, section 3). Its parameters are read when
 * it is made.
 */
export class EncoderDecoder implements Disposable {
  /** Of parameters and activations. */
  readonly dtype: FloatDType;
  /** Of cached keys and values, those of sources among them. */
  readonly cacheDtype: CacheDType;
  readonly device: DeviceName;
  /** What it is made of. */
  readonly parameters: readonly Parameter[];
  readonly #encoder: Stack;
  readonly #decoder: Stack;
  readonly #head: Linear;

  constructor(
    from: ParameterSource,
    readonly options: EncoderDecoderOptions,
  ) {
    const source = new ParameterLog(from);
    this.parameters = source.taken;
    this.device = source.device;
    const { vocabSize, sourceVocabSize, sharedTokens, tiedHead, headBias, decoder, encoder } = options;
    if (encoder.width !== decoder.width) {
      throw rangeError('EncoderDecoder', 'decoder.width', `that of the encoder, ${encoder.width}`, decoder.width);
    }
    if (sharedTokens && vocabSize !== sourceVocabSize) {
      throw rangeError(
        'EncoderDecoder',
        'vocabSize',
        `that of the sources, ${sourceVocabSize}, to share it`,
        vocabSize,
      );
    }
    const table = (path: string, rows: number, packed: boolean) =>
      packed ? source.matrix(path, [rows, encoder.width]) : source.dense(path, [rows, encoder.width]);
    // A tied table is packed for the head, and its rows are picked from there.
    const targets = table(sharedTokens ? 'tokens.weight' : 'decoder.tokens.weight', vocabSize, tiedHead);
    const sources = sharedTokens ? targets : table('encoder.tokens.weight', sourceVocabSize, false);
    const { dtype } = source;
    const embedding = new Embedding(targets, dtype);
    this.dtype = embedding.dtype;
    this.cacheDtype = source.cacheDtype ?? this.dtype;
    this.#encoder = new Stack(source, 'encoder', { ...encoder, causal: false }, new Embedding(sources, dtype));
    this.#decoder = new Stack(source, 'decoder', { ...decoder, crossAttention: true }, embedding);
    this.#head = new Linear(
      tiedHead ? targets : table('head.weight', vocabSize, true),
      headBias ? source.dense('head.bias', [vocabSize]) : undefined,
    );
  }

  /** What `capture` can name: 'encoder.embeddings', 'encoder.layers.0', 'decoder.layers.0.crossAttention.weights' … */
  get capturePaths(): string[] {
    return [...this.#encoder.capturePaths, ...this.#decoder.capturePaths];
  }

  /** Positions that targets have. */
  get maxPositions(): number {
    return this.#decoder.maxPositions;
  }

  /** Positions that sources have. */
  get maxSourcePositions(): number {
    return this.#encoder.maxPositions;
  }

  /** Reads sources, at least one token each. */
  encode({ ids, mask, capture, wantsHidden = false }: SourceInput): Source {
    const { device } = this;
    const ragged = new Ragged(mask ?? ids.map((row) => new Int32Array(row.length).fill(1)), device);
    const cacheOf = ({ numKvHeads, headDim }: StackOptions, numLayers: number, dtype: CacheDType) =>
      new KVCache({ numLayers, batch: ragged.batch, capacity: ragged.longest, numKvHeads, headDim, device, dtype });
    const keys = cacheOf(this.#decoder.options, this.#decoder.options.numLayers, this.cacheDtype);
    const [hidden] = scope(() => {
      const cuSeqlens = ragged.tensor(ragged.cuSeqlens);
      const x = this.#encoder.forward({
        ...{ ids: ragged.tokens(ids), positions: ragged.positions(), keyPositions: ragged.keyPositions(), cuSeqlens },
        ...{ cache: cacheOf(this.#encoder.options, 1, this.dtype), capture },
      });
      this.#decoder.appendSource(x, keys, cuSeqlens);
      keys.advance(cuSeqlens);
      return [wantsHidden ? x : undefined, capture?.tensors] as const;
    });
    return new Source(keys, hidden);
  }

  /** The decoder over sources, whose rows are its sequences. They stay the caller's to dispose of, behind the last step. */
  decoder(source: Source): SourceDecoder {
    const { device, cacheDtype: dtype } = this;
    const { numLayers, numKvHeads, headDim } = this.#decoder.options;
    return {
      device,
      createCache(batch, capacity) {
        if (batch !== source.batch) throw rangeError('createCache', 'batch', `the ${source.batch} sources`, batch);
        return new KVCache({ numLayers, batch, capacity, numKvHeads, headDim, device, dtype });
      },
      forward: (input) => this.#decode(input, source),
    };
  }

  #decode(input: DecoderInput, source: Source): DecoderOutput {
    const { cache, cuSeqlens, capture, wantsHidden = false } = input;
    const [output] = scope(() => {
      const hidden = this.#decoder.forward({ ...input, source: source.keys });
      cache.advance(cuSeqlens);
      const logits = this.#head.forward(scaleBy(hidden, this.options.headScale ?? 1), { outDtype: 'float32' });
      return [{ logits, ...(wantsHidden && { hidden }) }, capture?.tensors] as const;
    });
    return output;
  }

  [Symbol.dispose](): void {
    for (const part of [this.#encoder, this.#decoder, this.#head]) part[Symbol.dispose]();
  }
}
