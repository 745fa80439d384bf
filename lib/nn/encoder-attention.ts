import { attention } from '../ops/attention';
import { bias, type Bias } from '../ops/bias';
import { gatherRows } from '../ops/gather-rows';
import { mask } from '../ops/mask';
import { tensor, type Tensor } from '../tensor/tensor';
import { HeadProjections } from './cached-attention';
import type { Capture } from './capture';
import type { ParameterSource } from './parameters';

/** What the layers of an encoder share in one pass over a padded batch. */
export interface EncoderStep {
  /** B */
  batch: number;
  /** T */
  length: number;
  /** [B, 1, 1, T] bool: keys that are tokens, not padding; default: all. */
  tokens?: Tensor | undefined;
  /** For windows, [B, T] int32: the same as -1 for padding, else 0; default: all tokens. */
  documents?: Tensor | undefined;
  /** Whether there is a token at a place, as `tokens` says. */
  isToken: (b: number, at: number) => boolean;
  /** Of models that have them, if there are any. */
  globals?: Globals | undefined;
  /** Inner tensors wanted, if any. */
  capture?: Capture | undefined;
}

/** Tokens that attend to all and that all attend to. */
export interface Globals {
  /** Where they stand in each sequence. */
  positions: readonly (readonly number[])[];
  /** G: the most that a sequence has. */
  count: number;
  /** [B · G] int32: their rows among all B · T, -1 where a sequence has fewer. */
  rows: Tensor;
  /** Places that are global in any sequence. */
  union: readonly number[];
  /** [B, 1, 1, T] bool: keys that are global, where sequences differ. */
  keys: Tensor | undefined;
}

/** Self-attention of an encoder's block. */
export interface EncoderAttention extends Disposable {
  /** What `capture` can name below its path. */
  readonly captures: readonly string[];
  /** x [N, C] → [N, C], x added. */
  forward(x: Tensor, step: EncoderStep): Tensor;
}

/** What a learned vector of the distance meets: queries, or queries and keys (Huang et al., 2020, section 4.4). */
export type RelativePositions = 'relativeKey' | 'relativeKeyQuery';

export interface BertSelfAttentionOptions {
  width: number;
  numHeads: number;
  relative: RelativePositions | undefined;
  /** Of relative positions: distances reach to this. */
  contextLength: number;
}

/** Every token attends to every other (Devlin et al., 2019), with vectors of the distance or without. */
export class BertSelfAttention implements EncoderAttention {
  readonly captures = ['q', 'k', 'v', 'weights', 'heads'];
  readonly #projections: HeadProjections;
  /** [2 · contextLength - 1, D], of the distances query - key, falling from contextLength - 1 as rows fall. */
  readonly #distances: Tensor | undefined;

  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly options: BertSelfAttentionOptions,
  ) {
    const { width, numHeads, relative, contextLength } = options;
    const headDim = width / numHeads;
    this.#projections = new HeadProjections(source, path, {
      ...{ width, numHeads, numKvHeads: numHeads, headDim },
      ...{ projection: 'separate', attentionBias: true },
    });
    this.#distances = relative && source.dense(`${path}.distances.weight`, [2 * contextLength - 1, headDim]);
  }

  forward(x: Tensor, { batch, length, tokens, capture }: EncoderStep): Tensor {
    const { path } = this;
    const { width } = this.options;
    const parts = this.#projections.project(x);
    ['q', 'k', 'v'].forEach((name, at) => capture?.offer(`${path}.${name}`, parts[at]!));
    const [q, k, v] = parts.map((part) => headsFirst(part, batch, length)) as [Tensor, Tensor, Tensor];
    const options = { mask: tokens && mask.dense(tokens), bias: this.#bias() };
    const attend = (): Tensor => {
      if (!capture?.wants(`${path}.weights`)) return attention(q, k, v, options);
      const { output, weights } = attention(q, k, v, { ...options, returnWeights: true });
      capture.offer(`${path}.weights`, weights);
      return output;
    };
    const heads = attend().transpose(1, 2).reshape([-1, width]);
    capture?.offer(`${path}.heads`, heads);
    return this.#projections.merge(heads, x);
  }

  #bias(): Bias | undefined {
    const table = this.#distances;
    if (!table) return undefined;
    // The table counts query - key, the bias key - query.
    const rows = table.shape[0]!;
    const order = Int32Array.from({ length: rows }, (_, row) => rows - 1 - row);
    const keys = gatherRows(table, tensor(order, [rows], { device: table.device }));
    return bias.relative({ keys, queries: this.options.relative === 'relativeKeyQuery' ? keys : undefined });
  }

  [Symbol.dispose](): void {
    this.#projections[Symbol.dispose]();
    this.#distances?.dispose();
  }
}

/** [B · T, H, D] → [B, H, T, D], a view. */
export function headsFirst(x: Tensor, batch: number, length: number): Tensor {
  return x.reshape([batch, length, x.shape[1]!, x.shape[2]!]).transpose(1, 2);
}
