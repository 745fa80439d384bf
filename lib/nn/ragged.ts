import { gatherRows } from '../ops/gather-rows';
import type { DeviceName } from '../tensor/device';
import { tensor, type Tensor } from '../tensor/tensor';

type Rows = readonly ArrayLike<number>[];

/** A padded batch [B, T] as ragged tokens: padding is left out, and put back into what the tokens gave. */
export class Ragged {
  /** [B + 1]: tokens cu[b] … cu[b + 1] - 1 are those of sequence b. */
  readonly cuSeqlens: readonly number[];
  /** Of each place its token, -1: padding. */
  readonly #places: readonly number[];

  /** `masks`: 1: a token, 0: padding; rows of one length T where padding is put back. */
  constructor(
    readonly masks: Rows,
    readonly device: DeviceName,
  ) {
    const cuSeqlens = [0];
    const places: number[] = [];
    for (const row of masks) {
      let next = cuSeqlens.at(-1)!;
      for (const real of Array.from(row)) places.push(real === 0 ? -1 : next++);
      cuSeqlens.push(next);
    }
    this.cuSeqlens = cuSeqlens;
    this.#places = places;
  }

  get batch(): number {
    return this.masks.length;
  }
  /** T */
  get length(): number {
    return this.masks[0]?.length ?? 0;
  }
  /** Tokens of the longest sequence. */
  get longest(): number {
    return Math.max(...this.cuSeqlens.slice(1).map((end, b) => end - this.cuSeqlens[b]!));
  }

  /** [n] int32 */
  tensor(values: readonly number[]): Tensor {
    return tensor(Int32Array.from(values), [values.length], { device: this.device });
  }

  /** What a batch has for its tokens: [N] int32. */
  tokens(values: Rows): Tensor {
    return this.tensor(this.#kept(values).flat());
  }

  /** Places of the tokens in their rows, padding counted: [N] int32. */
  positions(): Tensor {
    return this.tokens(this.#columns());
  }

  #columns(): number[][] {
    return this.masks.map((row) => Array.from(row, (_, at) => at));
  }

  #kept(values: Rows): number[][] {
    return values.map((row, b) => Array.from(row).filter((_, i) => this.masks[b]![i] !== 0));
  }

  /** The same for each sequence, [B, longest] int32, if some padding stands between tokens. */
  keyPositions(): Tensor | undefined {
    const rows = this.#kept(this.#columns());
    if (rows.every((row) => row.every((at, i) => at - i === row[0]))) return undefined;
    const { longest } = this;
    const padded = rows.flatMap((row) => [...row, ...new Array<number>(longest - row.length).fill(0)]);
    return this.tensor(padded).reshape([this.batch, longest]);
  }

  /** x [N, …] → [B, T, C], 0 where there is padding. */
  rows(x: Tensor): Tensor {
    const flat = x.reshape([x.shape[0]!, -1]);
    const all = this.#places.includes(-1) ? gatherRows(flat, this.tensor(this.#places)) : flat;
    return all.reshape([this.batch, this.length, -1]);
  }

  /** Weights over a cache, x [N, H, capacity] → [B, H, T, Tk]; `keys`: the batch that the cache has keys of. */
  weights(x: Tensor, keys: Ragged = this): Tensor {
    const { batch, length } = this;
    const [, heads = 0, capacity = 0] = x.shape;
    const queries = this.rows(x).reshape([batch, length, heads, capacity]);
    if (!keys.#places.includes(-1)) return queries.slice(3, 0, keys.length).transpose(1, 2);
    const byKey = queries
      .transpose(2, 3)
      .transpose(1, 2)
      .reshape([batch * capacity, length * heads]); // [B · capacity, T · H]
    return gatherRows(byKey, keys.#slots(capacity)).reshape([batch, keys.length, length, heads]).transpose(1, 3);
  }

  /** Of each place its key among those of all sequences, b · capacity + key; -1: padding. */
  #slots(capacity: number): Tensor {
    return this.tensor(
      this.#places.map((token, i) => {
        const b = Math.floor(i / this.length);
        return token < 0 ? -1 : b * capacity + token - this.cuSeqlens[b]!;
      }),
    );
  }
}
