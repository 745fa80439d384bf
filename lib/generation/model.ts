import type { KVCache } from '../ops/kv-cache';
import type { DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import { gatherRows } from '../ops/gather-rows';
import { tensor, type Tensor } from '../tensor/tensor';

/** Ragged tokens of a step: N of R rows. */
export interface StepInput {
  /** [N] int32 */
  ids: Tensor;
  /** [N] int32 */
  positions: Tensor;
  /** [R + 1] int32: tokens cu[r] … cu[r + 1] - 1 are those of row r. */
  cuSeqlens: Tensor;
  /** Holds what came before; the step's keys and values are appended. */
  cache: KVCache;
  /** [M] int32: last positions of the whole rows, where a step runs but a part of them. */
  last?: Tensor;
  /** [L] int32: the tokens whose logits are wanted; default: all. */
  rows?: Tensor;
  /** Whether `hidden` is wanted, too. */
  wantsHidden?: boolean;
}

export interface StepOutput {
  /** [L, V] float32 */
  logits: Tensor;
  /** [L, C]: what the head multiplies. */
  hidden?: Tensor | undefined;
}

/** A prompt as the model reads it. */
export interface PromptRow {
  /** Token ids. */
  readonly tokens: Int32Array;
  /** The same with the padding that the caller gave. */
  readonly padded: Int32Array;
  /** Of what is padded, 1: a token, 0: padding; undefined: nothing is. */
  readonly mask: Int32Array | undefined;
}

/** All that generation knows of a model. */
export interface DecoderModel {
  readonly device: DeviceName;
  createCache(batch: number, capacity: number): KVCache;
  /** Runs a step and advances its cache. */
  forward(input: StepInput): StepOutput;
}

/** [n] int32 */
export function int32(device: DeviceName, values: readonly number[] | Int32Array): Tensor {
  return tensor(Int32Array.from(values), [values.length], { device });
}

/** 0, then running totals. */
export function cumulative(lengths: readonly number[]): number[] {
  let total = 0;
  return [0, ...lengths.map((length) => (total += length))];
}

/** x [R, …] becomes x[rows]: what it was is disposed of. */
export function keepRows(x: Tensor, rows: Int32Array): Tensor {
  using before = x;
  const { shape, device } = before;
  return scope(() =>
    gatherRows(before.reshape([shape[0]!, -1]), int32(device, rows)).reshape([rows.length, ...shape.slice(1)]),
  );
}
