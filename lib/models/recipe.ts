import type { Decoder } from '../nn/decoder';
import type { Encoder } from '../nn/encoder';
import type { EncoderDecoder } from '../nn/encoder-decoder';
import type { ParameterSource } from '../nn/parameters';
import type { Config } from './config';

/** Where a parameter is in a checkpoint. */
export interface StoredParameter {
  name: string;
  /** What it may be called instead: in older checkpoints, or where it is shared. */
  otherNames?: readonly string[];
  /** The checkpoint holds the transpose of the weight [N, K]. */
  transposed?: boolean;
  /** Rows that the checkpoint's table has before the first one. */
  rowsBefore?: number;
  /** The checkpoint has an axis of size 1 before the others. */
  leadingAxis?: boolean;
}

/** Where a recipe's model takes its parameters from. */
export interface StoredParameters extends ParameterSource {
  /** Whether the checkpoint has a parameter. */
  has(path: string): boolean;
}

/** What a recipe makes. */
export type Network = Decoder | Encoder | EncoderDecoder;

/** All there is to say about a family: one file each. */
export interface Recipe {
  /** Values of config.json's `architectures` (or `model_type`) that it serves. */
  readonly architectures: readonly string[];
  /** The model of a config.json: reads its options and takes the parameters. `architecture` is that of its own. */
  create(source: StoredParameters, config: Config, architecture: string): Network;
  /** A parameter's path in the model of a config.json → its place in the checkpoint. */
  locate(path: string, config: Config): StoredParameter;
  /** Prefixes that the checkpoint's names may have, the usual one first. */
  readonly prefixes: readonly string[];
}
