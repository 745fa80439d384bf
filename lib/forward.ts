import { checkOptions, rangeError, show, typeError } from './check';
import { forwardDecoder } from './forward-decoder';
import { forwardEncoder } from './forward-encoder';
import { forwardEncoderDecoder } from './forward-encoder-decoder';
import type { Network } from './models/recipe';
import { Decoder } from './nn/decoder';
import { EncoderDecoder } from './nn/encoder-decoder';
import { checkMask, checkRows, type Ids } from './prompt';
import { scope } from './tensor/scope';
import type { Tensor } from './tensor/tensor';

export interface ForwardInput {
  /** Token ids, one row or rows of one length T. */
  ids: Ids | readonly Ids[];
  /** 1: a token, 0: padding, of the shape of ids. Default: all tokens. */
  mask?: Ids | readonly Ids[] | undefined;
  /** Encoder-decoders: what the decoder reads, its start token included, rows of one length; `ids` are the sources. */
  decoderIds?: Ids | readonly Ids[] | undefined;
  /** The same as mask, of the shape of decoderIds. */
  decoderMask?: Ids | readonly Ids[] | undefined;
  /**
   * Of the shape of ids. Default: 0 … T - 1 in every row, padding counted; of Longformer as it counts them. Models with positions relative to others (ALiBi,
   * relative keys) do not look at them.
   */
  positions?: Ids | readonly Ids[] | undefined;
  /** Encoders: the kind of each token, sentence A or B, of the shape of ids. Default: 0. */
  tokenTypes?: Ids | readonly Ids[] | undefined;
  /** Longformer: 1: a token that attends to all and that all attend to, of the shape of ids. Default: none. */
  globalMask?: Ids | readonly Ids[] | undefined;
  /**
   * Inner tensors wanted, by path: 'embeddings', 'layers.0' … (after that layer), 'layers.0.attention.weights' and other
   * parts of a layer, 'norm'. What is not named costs nothing.
   */
  capture?: readonly string[] | undefined;
}

/** Rows of padding are 0 in what a decoder or an encoder-decoder gives; those of an encoder carry no meaning. */
export interface ForwardResult {
  /**
   * [B, T, V] float32; of token classifiers [B, T, L], of sequence classifiers [B, L]. Asking a model for them that has
   * none is a TypeError.
   */
  readonly logits: Tensor;
  /** Question answering: [B, T] float32 each. */
  readonly startLogits?: Tensor;
  readonly endLogits?: Tensor;
  /** Encoders without a head: [B, T, C] of the model's dtype. */
  readonly lastHiddenState?: Tensor;
  /** The same, where there is a pooler: [B, C]. */
  readonly poolerOutput?: Tensor;
  /** Encoder-decoders, whose logits are of decoderIds: what the encoder gives, [B, T, C] of the model's dtype. */
  readonly encoderLastHiddenState?: Tensor;
  /**
   * By path: [B, T, C] of the model's dtype, heads side by side; `attention.weights` [B, H, T, T] float32. Longformer's are
   * [B, H, T, G + window + 1], of the G global tokens (rows that have fewer: 0) and then of the window, rows of global
   * tokens 0; theirs are `attention.globalWeights` [B, H, T', G], T' the next multiple of the largest window.
   */
  readonly captured: Record<string, Tensor>;
}

/** What was asked for, checked: rows of one length. */
export interface Batch {
  ids: readonly Ids[];
  masks: readonly Ids[];
  positions: readonly Ids[];
  capture: readonly string[];
}

export interface EncoderBatch extends Batch {
  tokenTypes: readonly Ids[];
  globalMasks: readonly Ids[];
}

/** What forward() takes. */
function keysOf(network: Network): string[] {
  if (network instanceof EncoderDecoder) return ['ids', 'mask', 'decoderIds', 'decoderMask', 'capture'];
  const common = ['ids', 'mask', 'positions', 'capture'];
  if (network instanceof Decoder) return common;
  return [...common, 'tokenTypes', ...(network.options.windows ? ['globalMask'] : [])];
}

/** One pass over whole sequences. */
export function forward(network: Network, input: ForwardInput, architecture: string): ForwardResult {
  const name = 'Model.forward';
  if (typeof input !== 'object' || input === null) throw typeError(name, 'input', 'an object', input);
  checkOptions(name, input, keysOf(network));
  if (network instanceof EncoderDecoder) return forwardBoth(name, network, input);
  const ids = checkBatch(name, 'ids', input.ids, network.options.vocabSize, network.maxPositions);
  const length = ids[0]!.length;
  /** Rows of the shape of ids. */
  const alike = (argument: 'positions' | 'tokenTypes' | 'globalMask', limit: number, fallback: (row: Ids) => Ids) => {
    const given = input[argument];
    if (given === undefined) return ids.map(fallback);
    const { rows } = checkRows(name, argument, given, limit);
    if (rows.length !== ids.length || rows.some((row) => row.length !== length)) {
      throw rangeError(name, argument, `of the shape of ids [${ids.length}, ${length}]`, given);
    }
    return rows;
  };
  const masks = checkMask(name, input.mask, ids);
  const positions = alike('positions', network.positionLimit, (row) => network.positionsOf(row));
  const capture = checkCapture(name, input.capture, network.capturePaths);
  if (network instanceof Decoder) {
    return scope(() => forwardDecoder(network, { ids, masks, positions, capture }));
  }
  const zeros = (row: Ids) => new Int32Array(row.length);
  const tokenTypes = alike('tokenTypes', network.options.numTypes, zeros);
  const globalMasks = alike('globalMask', 2, zeros);
  const batch = { ids, masks, positions, capture, tokenTypes, globalMasks };
  return scope(() => forwardEncoder(network, batch, architecture));
}

/** One pass of an encoder and its decoder. */
function forwardBoth(name: string, network: EncoderDecoder, input: ForwardInput): ForwardResult {
  const { vocabSize, sourceVocabSize } = network.options;
  const ids = checkBatch(name, 'ids', input.ids, sourceVocabSize, network.maxSourcePositions);
  const masks = checkMask(name, input.mask, ids);
  const empty = masks.findIndex((row) => row.every((real) => real === 0));
  if (empty >= 0) throw rangeError(name, `mask[${empty}]`, 'of at least one token', masks[empty]);
  const decoderIds = checkBatch(name, 'decoderIds', input.decoderIds, vocabSize, network.maxPositions);
  if (decoderIds.length !== ids.length) {
    throw rangeError(name, 'decoderIds', `${ids.length} rows, as ids has`, decoderIds);
  }
  const decoderMasks = checkMask(name, input.decoderMask, decoderIds, 'decoderMask', 'decoderIds');
  const capture = checkCapture(name, input.capture, network.capturePaths);
  return scope(() => forwardEncoderDecoder(network, { ids, masks, decoderIds, decoderMasks, capture }));
}

/** Rows of token ids, of one length. */
function checkBatch(
  name: string,
  argument: string,
  value: unknown,
  vocabSize: number,
  maxPositions: number,
): readonly Ids[] {
  const { rows } = checkRows(name, argument, value, vocabSize);
  const length = rows[0]?.length ?? 0;
  if (length < 1 || length > maxPositions || rows.some((row) => row.length !== length)) {
    const wanted = `rows of one length from 1 to ${maxPositions}`;
    throw new RangeError(
      `[${name}] ${argument} must be ${wanted} but have ${rows.map((row) => row.length).join(', ')}`,
    );
  }
  return rows;
}

/** Paths that a model knows. */
export function checkCapture(name: string, capture: unknown, known: readonly string[]): readonly string[] {
  if (capture === undefined) return [];
  if (!Array.isArray(capture)) throw typeError(name, 'capture', 'an array of paths', capture);
  capture.forEach((path, index) => {
    if (typeof path !== 'string') throw typeError(name, `capture[${index}]`, 'a path', path);
    if (!known.includes(path)) {
      throw new RangeError(`[${name}] capture[${index}] is ${show(path)}; this model has ${summary(known)}`);
    }
  });
  return capture as string[];
}

/** Paths, those of layers but the first left out. */
function summary(paths: readonly string[]): string {
  const last = new Map<string, string>(); // of each stack of layers
  for (const path of paths) {
    const [, stack] = /^(.*)layers\.[1-9]\d*$/.exec(path) ?? [];
    if (stack !== undefined) last.set(stack, path);
  }
  const shown = paths.filter((path) => !/(^|\.)layers\.[1-9]/.test(path));
  return `${shown.join(', ')}${last.size > 0 ? `, and so on up to ${[...last.values()].join(' and ')}` : ''}`;
}
