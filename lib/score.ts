import type { Decoder } from './nn/decoder';
import { gatherRows } from './ops/gather-rows';
import { logSoftmax } from './ops/softmax';
import { scope } from './tensor/scope';
import { tensor } from './tensor/tensor';

/** How likely a model finds a text. */
export interface Scored {
  tokens: number[];
  /** ln p of each token but the first, given those before. */
  logprobs: number[];
  /** Their sum: the log-likelihood. */
  total: number;
  /** e^(-total / number of logprobs); NaN for a single token. */
  perplexity: number;
}

/** Tokens whose logits are held at a time. */
const CHUNK = 256;

/** ln p of each token of a row but the first. */
export async function scoreRow(decoder: Decoder, row: Int32Array, signal?: AbortSignal): Promise<Scored> {
  await Promise.resolve(); // the caller may stand in a scope, which would take the tensors made here
  const { device } = decoder;
  const { vocabSize } = decoder.options;
  const last = row.length - 1; // of the last token nothing is asked
  const logprobs: number[] = [];
  using cache = decoder.createCache(1, Math.max(1, last));
  using end = tensor([last - 1], [1], { dtype: 'int32', device });
  for (let begin = 0; begin < last; begin += CHUNK) {
    signal?.throwIfAborted();
    const count = Math.min(CHUNK, last - begin);
    const int32 = (values: Int32Array) => tensor(values, [values.length], { device });
    using picked = scope(() => {
      const { logits } = decoder.forward({
        ids: int32(row.subarray(begin, begin + count)),
        positions: int32(Int32Array.from({ length: count }, (_, i) => begin + i)),
        cuSeqlens: int32(Int32Array.of(0, count)),
        cache,
        last: end,
      });
      const next = Int32Array.from({ length: count }, (_, i) => i * vocabSize + (row[begin + i + 1] as number));
      return gatherRows(logSoftmax(logits).reshape([count * vocabSize, 1]), int32(next));
    });
    logprobs.push(...(await picked.data()));
  }
  const total = logprobs.reduce((sum, value) => sum + value, 0);
  return { tokens: [...row], logprobs, total, perplexity: Math.exp(-total / logprobs.length) };
}
