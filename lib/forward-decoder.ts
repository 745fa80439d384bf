import type { Batch, ForwardResult } from './forward';
import { Capture } from './nn/capture';
import type { Decoder } from './nn/decoder';
import { gatherRows } from './ops/gather-rows';
import type { Ids } from './prompt';
import type { DeviceName } from './tensor/device';
import { tensor, type Tensor } from './tensor/tensor';

/** One pass of a decoder. Inside, padding is left out: tokens run ragged. */
export function forwardDecoder(decoder: Decoder, { ids, masks, positions, capture }: Batch): ForwardResult {
  const length = ids[0]?.length ?? 0;
  const kept = (values: readonly Ids[]) => values.flatMap((row, b) => [...row].filter((_, i) => masks[b]?.[i] !== 0));
  const { device } = decoder;
  const int32 = (values: readonly number[]) => tensor(Int32Array.from(values), [values.length], { device });
  const cuSeqlens = [0];
  const places: number[] = []; // of each padded position among the tokens; -1: padding
  for (const row of masks) {
    let next = cuSeqlens.at(-1) ?? 0;
    for (const real of row) places.push(real === 0 ? -1 : next++);
    cuSeqlens.push(next);
  }
  using cache = decoder.createCache(ids.length, length);
  const taps = capture.length > 0 ? new Capture(capture) : undefined;
  const { logits } = decoder.forward({
    ...{ ids: int32(kept(ids)), positions: int32(kept(positions)), cuSeqlens: int32(cuSeqlens) },
    ...{ cache, capture: taps },
  });
  const padding = new Padding(places, ids.length, length, cuSeqlens, device);
  return {
    logits: padding.rows(logits),
    captured: Object.fromEntries(
      Object.entries(taps?.tensors ?? {}).map(([path, x]) => [
        path,
        path.endsWith('.weights') ? padding.weights(x) : padding.rows(x),
      ]),
    ),
  };
}

/** Puts what ragged tokens gave where they stand among padding. */
class Padding {
  /** Token of each place, -1: padding; undefined if there is none. */
  readonly #tokens: Tensor | undefined;
  /** Of each place the sequence's key, counted with those of all: b · capacity + key; -1: padding. */
  readonly #keys: (capacity: number) => Tensor;

  constructor(
    places: readonly number[],
    readonly batch: number,
    readonly length: number,
    cuSeqlens: readonly number[],
    device: DeviceName,
  ) {
    const index = (values: readonly number[]) => tensor(Int32Array.from(values), [values.length], { device });
    this.#tokens = places.includes(-1) ? index(places) : undefined;
    this.#keys = (capacity) =>
      index(
        places.map((token, i) => {
          const b = Math.floor(i / length);
          return token < 0 ? -1 : b * capacity + token - cuSeqlens[b]!;
        }),
      );
  }

  /** [N, …] → [B, T, C] */
  rows(x: Tensor): Tensor {
    const flat = x.reshape([x.shape[0]!, -1]);
    return (this.#tokens ? gatherRows(flat, this.#tokens) : flat).reshape([this.batch, this.length, -1]);
  }

  /** Weights over a cache, [N, H, capacity] → [B, H, T, T] */
  weights(x: Tensor): Tensor {
    const { batch, length } = this;
    const [, heads = 0, capacity = 0] = x.shape;
    const queries = this.rows(x).reshape([batch, length, heads, capacity]); // [B, Tq, H, capacity]
    if (!this.#tokens) return queries.slice(3, 0, length).transpose(1, 2);
    const byKey = queries
      .transpose(2, 3)
      .transpose(1, 2)
      .reshape([batch * capacity, length * heads]); // [B · capacity, Tq · H]
    const keys = gatherRows(byKey, this.#keys(capacity)).reshape([batch, length, length, heads]); // [B, Tk, Tq, H]
    return keys.transpose(1, 3);
  }
}
