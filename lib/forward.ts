import type { Decoder } from './nn/decoder';
import { Capture } from './nn/capture';
import { gatherRows } from './ops/gather-rows';
import { checkMask, checkRows, type Ids } from './prompt';
import { checkOptions, rangeError, show, typeError } from './check';
import type { DeviceName } from './tensor/device';
import { scope } from './tensor/scope';
import { tensor, type Tensor } from './tensor/tensor';

export interface ForwardInput {
  /** Token ids, one row or rows of one length T. */
  ids: Ids | readonly Ids[];
  /** 1: a token, 0: padding, of the shape of ids. Default: all tokens. */
  mask?: Ids | readonly Ids[] | undefined;
  /** Of the shape of ids. Default: 0 … T - 1 in every row, padding counted. */
  positions?: Ids | readonly Ids[] | undefined;
  /**
   * Inner tensors wanted, by path: 'embeddings', 'layers.0' … (after that layer), 'layers.0.attention.weights' and other
   * parts of a layer, 'norm'. What is not named costs nothing.
   */
  capture?: readonly string[] | undefined;
}

export interface ForwardResult {
  /** [B, T, V] float32; rows of padding are 0. */
  logits: Tensor;
  /**
   * By path: [B, T, C] of the model's dtype, heads side by side; `attention.weights` [B, H, T, T] float32. Rows of padding
   * are 0.
   */
  captured: Record<string, Tensor>;
}

/** One pass over whole sequences. Inside, padding is left out: tokens run ragged. */
export function forward(decoder: Decoder, input: ForwardInput): ForwardResult {
  const name = 'Model.forward';
  if (typeof input !== 'object' || input === null) throw typeError(name, 'input', 'an object', input);
  checkOptions(name, input, ['ids', 'mask', 'positions', 'capture']);
  const { maxPositions } = decoder;
  const { vocabSize } = decoder.options;
  const { rows } = checkRows(name, 'ids', input.ids, vocabSize);
  const length = rows[0]?.length ?? 0;
  if (length < 1 || length > maxPositions || rows.some((row) => row.length !== length)) {
    const wanted = `rows of one length from 1 to ${maxPositions}`;
    throw new RangeError(`[${name}] ids must be ${wanted} but have ${rows.map((row) => row.length).join(', ')}`);
  }
  const masks = checkMask(name, input.mask, rows);
  const positions =
    input.positions === undefined
      ? rows.map((row) => Int32Array.from(row, (_, i) => i))
      : checkRows(name, 'positions', input.positions, maxPositions).rows;
  if (positions.length !== rows.length || positions.some((row) => row.length !== length)) {
    throw rangeError(name, 'positions', `of the shape of ids [${rows.length}, ${length}]`, input.positions);
  }
  const capture = checkCapture(name, input.capture, decoder.capturePaths);
  return scope(() => run(decoder, rows, masks, positions, capture));
}

function run(
  decoder: Decoder,
  rows: readonly Ids[],
  masks: readonly Ids[],
  positions: readonly Ids[],
  capture: readonly string[],
): ForwardResult {
  const length = rows[0]?.length ?? 0;
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
  using cache = decoder.createCache(rows.length, length);
  const taps = capture.length > 0 ? new Capture(capture) : undefined;
  const { logits } = decoder.forward({
    ...{ ids: int32(kept(rows)), positions: int32(kept(positions)), cuSeqlens: int32(cuSeqlens) },
    ...{ cache, capture: taps },
  });
  const padding = new Padding(places, rows.length, length, cuSeqlens, device);
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

function checkCapture(name: string, capture: unknown, known: readonly string[]): readonly string[] {
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
  const layers = paths.filter((path) => /^layers\.\d+$/.test(path)).length;
  const shown = paths.filter((path) => !/^layers\.[1-9]/.test(path));
  return `${shown.join(', ')}${layers > 1 ? `, and so on up to layers.${layers - 1}` : ''}`;
}
