import { gatherRows } from '../ops/gather-rows';
import { scope } from '../tensor/scope';
import type { Channel } from '../tensor/program';
import type { Tensor } from '../tensor/tensor';
import { cumulative, int32 } from './model';
import type { Rows } from './rows';

/**
 * Reads the prompts, in chunks counted from their ends so that all end in the last one: one chunk is queued at a time.
 *
 * @returns logits [R, V] of the last token of each row.
 */
export async function prefill(rows: Rows, prefillChunkSize: number, channel: Channel): Promise<Tensor> {
  let left = Math.max(...rows.prompts.map(({ tokens }) => tokens.length)) - rows.held;
  for (; left > prefillChunkSize; left -= prefillChunkSize) {
    using logits = channel.guard(() => readChunk(rows, left, left - prefillChunkSize));
    await logits.ready();
  }
  return channel.guard(() =>
    scope(() => {
      const logits = readChunk(rows, left, 0);
      rows.spread();
      return spreadLogits(rows, logits);
    }),
  );
}

/** One row a prompt → one of each row of the model. */
function spreadLogits(rows: Rows, logits: Tensor): Tensor {
  if (rows.perPrompt === 1) return logits;
  const prompts = Int32Array.from({ length: rows.count }, (_, row) => Math.floor(row / rows.perPrompt));
  return gatherRows(logits, int32(rows.model.device, prompts));
}

/** Runs the tokens that lie between `from` and `to`, counted from the ends of the prompts, in the first row of each. */
function readChunk(rows: Rows, from: number, to: number): Tensor {
  const { model, prompts, perPrompt, cache } = rows;
  const { device } = model;
  return scope(() => {
    const begins = prompts.map(({ tokens }) => Math.max(rows.held, tokens.length - from));
    const parts = prompts.map(({ tokens }, b) => tokens.subarray(begins[b], Math.max(0, tokens.length - to)));
    const lengths = parts.flatMap((part) => [part.length, ...new Array<number>(perPrompt - 1).fill(0)]);
    const ends = cumulative(parts.map((part) => part.length)).slice(1);
    const { logits } = model.forward({
      ids: int32(
        device,
        parts.flatMap((part) => [...part]),
      ),
      positions: int32(
        device,
        parts.flatMap((part, b) => Array.from(part, (_, i) => begins[b]! + i)),
      ),
      cuSeqlens: int32(device, cumulative(lengths)),
      cache,
      last: int32(
        device,
        prompts.map(({ tokens }) => tokens.length - 1),
      ),
      rows: int32(device, to === 0 ? ends.map((end) => end - 1) : []),
    });
    return logits;
  });
}
