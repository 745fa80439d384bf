import { argmax } from '../ops/argmax';
import { div, mul, sqrt, sub } from '../ops/arithmetic';
import { cast } from '../ops/cast';
import { concat } from '../ops/concat';
import { gatherRows } from '../ops/gather-rows';
import { matmul } from '../ops/matmul';
import { sum } from '../ops/reduce';
import { softmax } from '../ops/softmax';
import { topK } from '../ops/top-k';
import type { Channel } from '../tensor/program';
import { scope } from '../tensor/scope';
import type { Tensor } from '../tensor/tensor';
import { cumulative, int32, type StepOutput } from './model';
import type { Rows } from './rows';

/** x [N, C] of any float dtype → rows of length 1, float32. */
function directions(x: Tensor): Tensor {
  const wide = cast(x, 'float32');
  return div(wide, sqrt(sum(mul(wide, wide), { axis: -1, keepAxis: true })));
}

/**
 * Contrastive search (Su et al., 2022, section 4): of the K likeliest tokens that which is likely and unlike what came
 * before, (1 - α) p - α max cos(h, h'), where h are the model's last hidden states. Every step runs all K, so that
 * what is chosen has been read already.
 */
export class ContrastiveSearch implements Disposable {
  /** [B, L, C]: directions of the hidden states so far; shorter rows repeat their first. */
  #context: Tensor | undefined;
  /** [B, V]: scores of the next token, before processors. */
  #logits: Tensor | undefined;

  constructor(
    readonly rows: Rows,
    readonly settings: { alpha: number; topK: number },
  ) {}

  /** Reads the prompts, whole, by the first row of each. */
  start(channel: Channel): void {
    const { rows } = this;
    const { model, prompts, perPrompt, cache } = rows;
    const { device } = model;
    const [context, logits] = channel.guard(() =>
      scope(() => {
        const tokens = prompts.map((prompt) => prompt.tokens);
        const cu = cumulative(tokens.map((row) => row.length));
        const output = model.forward({
          ids: int32(
            device,
            tokens.flatMap((row) => [...row]),
          ),
          positions: int32(
            device,
            tokens.flatMap((row) => [...row.keys()]),
          ),
          cuSeqlens: int32(
            device,
            cumulative(tokens.flatMap((row) => [row.length, ...new Array<number>(perPrompt - 1).fill(0)])),
          ),
          cache,
          wantsHidden: true,
        });
        rows.spread();
        const longest = Math.max(...tokens.map((row) => row.length));
        const places = tokens.flatMap((row, b) =>
          Array.from({ length: longest }, (_, i) => cu[b]! + Math.max(0, i - (longest - row.length))),
        );
        const padded = gatherRows(directions(output.hidden!), int32(device, places));
        const last = int32(
          device,
          cu.slice(1).map((end) => end - 1),
        );
        return [padded.reshape([prompts.length, longest, -1]), gatherRows(output.logits, last)] as const;
      }),
    );
    this.#keep(context, logits);
  }

  /** Of the next token: logits [B, V], the caller's to dispose of. */
  get logits(): Tensor {
    const { shape } = this.#logits!;
    return this.#logits!.reshape(shape);
  }

  /** One step: scores [B, V] → the tokens chosen, one a prompt. */
  async step(scores: Tensor, channel: Channel): Promise<Int32Array> {
    const { rows, settings } = this;
    const { model, cache, single } = rows;
    const { alpha, topK: count } = settings;
    const batch = rows.prompts.length;
    const { ids, winners, output } = channel.guard(() =>
      scope(() => {
        const { values: p, indices } = topK(softmax(scores), count); // [B, K]
        const ids = indices.reshape([batch * count]);
        const output = model.forward({ ids, positions: cache.lengths, cuSeqlens: single, cache, wantsHidden: true });
        const hidden = directions(output.hidden!); // [B · K, C]
        const alike = matmul(this.#context!, hidden.reshape([batch, count, -1]).transpose(1, 2)); // [B, L, K]
        const closest = topK(alike, 1, { axis: 1 }).values.reshape([batch, count]);
        return { ids, winners: argmax(sub(mul(p, 1 - alpha), mul(closest, alpha))), output: { ...output, hidden } };
      }),
    );
    try {
      const [candidates, best] = await Promise.all([ids.data<Int32Array>(), winners.data<Int32Array>()]);
      const chosen = Int32Array.from(best, (one, b) => b * count + one);
      channel.guard(() => {
        this.#goOn(chosen, output);
      });
      return Int32Array.from(chosen, (row) => candidates[row]!);
    } finally {
      for (const part of [ids, winners, output.logits, output.hidden]) part.dispose();
    }
  }

  /** All rows of a prompt go on from the one that was chosen. */
  #goOn(chosen: Int32Array, { logits, hidden }: Required<Pick<StepOutput, 'logits'>> & { hidden: Tensor }): void {
    const { rows } = this;
    const batch = chosen.length;
    const next = scope(() => {
      const picked = int32(rows.model.device, chosen);
      rows.reorder(
        int32(
          rows.model.device,
          Int32Array.from({ length: rows.count }, (_, row) => chosen[Math.floor(row / rows.perPrompt)]!),
        ),
      );
      const context = concat([this.#context!, gatherRows(hidden, picked).reshape([batch, 1, -1])], { axis: 1 });
      return [context, gatherRows(logits, picked)] as const;
    });
    this.#keep(...next);
  }

  #keep(context: Tensor, logits: Tensor): void {
    this[Symbol.dispose]();
    this.#context = context;
    this.#logits = logits;
  }

  [Symbol.dispose](): void {
    this.#context?.dispose();
    this.#logits?.dispose();
  }
}
