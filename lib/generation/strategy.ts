import { argmax } from '../ops/argmax';
import { endOfSequence, samplingKeys, sampleStep, type SamplingOptions } from '../ops/sample';
import type { Channel } from '../tensor/program';
import type { Tensor } from '../tensor/tensor';
import { int32 } from './model';
import type { Rows } from './rows';

/** How a step ends: what becomes of the logits. */
export interface Strategy extends Disposable {
  /** Rows of the model that go on from one prompt. */
  readonly rowsPerPrompt: number;
  /** int32 numbers that it sends a step. */
  readonly newsWidth: number;
  /** Queues the end of a step: from logits [R, V] it chooses what the rows read next, and sends that. */
  choose(logits: Tensor, channel: Channel): void;
  /** After the last step, while its tensors are there. */
  finish?(): Promise<void>;
}

/** Logits [N, V] as they are chosen from; row i is row `rows[i]` of the model, or i. */
export type Processors = (logits: Tensor, rows?: Tensor) => Tensor;

export interface TokenChoiceSettings {
  eosTokenIds: readonly number[];
  padTokenId: number;
  /** Undefined: take the best token. */
  sampling: Required<SamplingOptions> | undefined;
  /** Keys of the random generator, one a row. */
  keys: readonly { seed: number; sequence: number }[];
}

/** Greedy search, or sampling: each row goes on by itself. Sends the token of each row. */
export class TokenChoice implements Strategy {
  readonly #finished: Tensor;
  readonly #ends: Tensor;
  readonly #keys: Tensor;

  constructor(
    readonly rows: Rows,
    readonly settings: TokenChoiceSettings,
  ) {
    const { device } = rows.model;
    this.#finished = int32(device, new Int32Array(rows.count));
    this.#ends = int32(device, settings.eosTokenIds);
    this.#keys = samplingKeys(settings.keys, device);
  }

  get rowsPerPrompt(): number {
    return this.rows.perPrompt;
  }
  get newsWidth(): number {
    return this.rows.count;
  }

  choose(logits: Tensor, channel: Channel): void {
    const { rows, settings } = this;
    const { sampling, padTokenId } = settings;
    const chosen = sampling ? sampleStep(logits, this.#keys, rows.cache.lengths, sampling) : argmax(logits);
    endOfSequence(chosen, this.#ends, padTokenId, rows.tokens, this.#finished);
    rows.remember(rows.tokens);
    channel.emit(rows.tokens, this.#finished);
  }

  [Symbol.dispose](): void {
    for (const part of [this.#finished, this.#ends, this.#keys]) part.dispose();
  }
}
