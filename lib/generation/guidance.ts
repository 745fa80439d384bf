import { add, mul, sub } from '../ops/arithmetic';
import { logSoftmax } from '../ops/softmax';
import type { Channel } from '../tensor/program';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import type { DecoderModel, PromptRow } from './model';
import { prefill } from './prefill';
import { Rows } from './rows';

/**
 * Classifier-free guidance (Sanchez et al., 2023, section 2): beside the rows run others, of negative prompts, that read
 * the same tokens, and scores go away from theirs: u + scale (c - u), c and u log-probabilities with and without.
 */
export class Guidance implements Disposable {
  readonly #rows: Rows;
  /** Of the first step. */
  #first: Tensor | undefined;

  /** @param negatives one a prompt of `guided`. */
  constructor(
    model: DecoderModel,
    readonly guided: Rows,
    negatives: readonly PromptRow[],
    readonly settings: { scale: number; maxSteps: number; prefillChunkSize: number },
  ) {
    const { maxSteps } = settings;
    this.#rows = new Rows(model, negatives, guided.perPrompt, { maxSteps, histories: 'none' });
  }

  /** Reads the negative prompts. */
  async start(channel: Channel): Promise<void> {
    this.#first = await prefill(this.#rows, this.settings.prefillChunkSize, channel);
  }

  /** Logits [R, V] → guided log-probabilities. The first time of the prompts, then of the tokens that were picked. */
  apply(logits: Tensor): Tensor {
    const { cache, single: cuSeqlens, model } = this.#rows;
    const step = () => {
      const ids = this.guided.tokens;
      return model.forward({ ids, positions: cache.lengths, cuSeqlens, cache }).logits;
    };
    const guided = scope(() => {
      const without = logSoftmax(this.#first ?? step());
      return add(mul(sub(logSoftmax(logits), without), this.settings.scale), without);
    });
    this.#first?.dispose();
    this.#first = undefined;
    return guided;
  }

  [Symbol.dispose](): void {
    this.#first?.dispose();
    this.#rows[Symbol.dispose]();
  }
}
