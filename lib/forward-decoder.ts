import type { Batch, ForwardResult } from './forward';
import { Capture } from './nn/capture';
import type { Decoder } from './nn/decoder';
import { Ragged } from './nn/ragged';
import type { Tensor } from './tensor/tensor';

/** One pass of a decoder. Inside, padding is left out: tokens run ragged. */
export function forwardDecoder(decoder: Decoder, { ids, masks, positions, capture }: Batch): ForwardResult {
  const ragged = new Ragged(masks, decoder.device);
  using cache = decoder.createCache(ragged.batch, ragged.length);
  const taps = captureOf(capture);
  const { logits } = decoder.forward({
    ...{ ids: ragged.tokens(ids), positions: ragged.tokens(positions), cuSeqlens: ragged.tensor(ragged.cuSeqlens) },
    ...{ cache, capture: taps },
  });
  return { logits: ragged.rows(logits), captured: padded(taps, () => [ragged, ragged]) };
}

/** Undefined where nothing is wanted. */
export function captureOf(paths: readonly string[]): Capture | undefined {
  return paths.length > 0 ? new Capture(paths) : undefined;
}

/** What was captured, with padding; `batchesOf` a path: those that its rows, and weights' keys, belong to. */
export function padded(
  taps: Capture | undefined,
  batchesOf: (path: string) => readonly [rows: Ragged, keys: Ragged],
): Record<string, Tensor> {
  const entries = Object.entries(taps?.tensors ?? {}).map(([path, x]) => {
    const [rows, keys] = batchesOf(path);
    return [path, path.endsWith('.weights') ? rows.weights(x, keys) : rows.rows(x)] as const;
  });
  return Object.fromEntries(entries);
}
