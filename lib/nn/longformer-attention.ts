import { attention } from '../ops/attention';
import { gatherRows } from '../ops/gather-rows';
import { mask, type Mask } from '../ops/mask';
import { scatterRows } from '../ops/scatter';
import type { DeviceName } from '../tensor/device';
import { tensor, type Tensor } from '../tensor/tensor';
import { HeadProjections } from './cached-attention';
import { headsFirst, type EncoderAttention, type EncoderStep, type Globals } from './encoder-attention';
import { Linear } from './layers';
import type { ParameterSource } from './parameters';

export interface LongformerAttentionOptions {
  width: number;
  numHeads: number;
  /** Keys on each side of a query. */
  side: number;
  /** `globalWeights` are padded to a multiple of it. */
  multiple: number;
}

/**
 * A sliding window, and global tokens that attend to all, by projections of their own, and that all attend to (Beltagy et
 * al., 2020, section 3.1). A global token within a query's window counts once. Time and memory grow with T.
 */
export class LongformerAttention implements EncoderAttention {
  readonly captures = ['q', 'k', 'v', 'weights', 'globalWeights', 'heads'];
  readonly #projections: HeadProjections;
  /** Of the global tokens: query, key, value. */
  readonly #global: readonly [Linear, Linear, Linear];

  constructor(
    source: ParameterSource,
    readonly path: string,
    readonly options: LongformerAttentionOptions,
  ) {
    const { width, numHeads } = options;
    this.#projections = new HeadProjections(source, path, {
      ...{ width, numHeads, numKvHeads: numHeads, headDim: width / numHeads },
      ...{ projection: 'separate', attentionBias: true },
    });
    const load = (name: string) => Linear.load(source, `${path}.${name}`, [width, width], true);
    this.#global = [load('globalQ'), load('globalK'), load('globalV')];
  }

  forward(x: Tensor, step: EncoderStep): Tensor {
    const { path } = this;
    const { batch, length, globals, capture } = step;
    const parts = this.#projections.project(x);
    ['q', 'k', 'v'].forEach((name, at) => capture?.offer(`${path}.${name}`, parts[at]!));
    const [q, k, v] = parts.map((part) => headsFirst(part, batch, length)) as [Tensor, Tensor, Tensor];
    const keep = { mask: this.#mask(step) };
    const near = (): Tensor => {
      if (!capture?.wants(`${path}.weights`)) return attention(q, k, v, keep);
      const { output, weights } = attention(q, k, v, { ...keep, returnWeights: true });
      capture.offer(`${path}.weights`, this.#band(weights, step));
      return output;
    };
    const local = near().transpose(1, 2).reshape([-1, this.options.width]);
    const heads = globals ? scatterRows(local, globals.rows, this.#far(x, globals, step)) : local;
    if (!globals) capture?.offer(`${path}.globalWeights`, this.#byKey(undefined, x.device, step));
    capture?.offer(`${path}.heads`, heads);
    return this.#projections.merge(heads, x);
  }

  /**
   * Of the queries that are not global: the window and the global tokens. Structured pieces come first: what they leave out
   * is never asked of the dense one, which keeps time from growing with T².
   */
  #mask({ documents, globals }: EncoderStep): Mask {
    const { side } = this.options;
    const window = mask.slidingWindow(side, side);
    const any = globals && mask.globalTokens(globals.union);
    const global = globals?.keys ? any?.and(mask.dense(globals.keys)) : any;
    const near = global ? window.or(global) : window;
    return documents ? near.and(mask.documents(documents)) : near;
  }

  /** What the global tokens find: [B · G, C]. */
  #far(x: Tensor, globals: Globals, step: EncoderStep): Tensor {
    const { path } = this;
    const { batch, length, tokens, capture } = step;
    const { numHeads, width } = this.options;
    const split = (rows: Tensor, count: number) =>
      headsFirst(rows.reshape([-1, numHeads, width / numHeads]), batch, count);
    const [projectQ, projectK, projectV] = this.#global;
    const q = split(projectQ.forward(gatherRows(x, globals.rows)), globals.count);
    const [k, v] = [split(projectK.forward(x), length), split(projectV.forward(x), length)];
    const keep = { mask: tokens && mask.dense(tokens) };
    const attend = (): Tensor => {
      if (!capture?.wants(`${path}.globalWeights`)) return attention(q, k, v, keep);
      const { output, weights } = attention(q, k, v, { ...keep, returnWeights: true });
      capture.offer(`${path}.globalWeights`, this.#byKey(weights, x.device, step));
      return output;
    };
    return attend().transpose(1, 2).reshape([-1, width]);
  }

  /**
   * Weights [B, H, T, T] → [B, H, T, G + 2 · side + 1]: of the global tokens, then of the keys from `side` before to `side`
   * behind, global tokens among them left out. Rows of global queries and of padding are 0.
   */
  #band(weights: Tensor, { batch, length, globals, isToken }: EncoderStep): Tensor {
    const { side, numHeads } = this.options;
    const count = globals?.count ?? 0;
    const isGlobal = (b: number, at: number) => globals?.positions[b]!.includes(at) ?? false;
    const keyOf = (b: number, i: number, column: number): number => {
      if (isGlobal(b, i) || !isToken(b, i)) return -1;
      if (column < count) return globals?.positions[b]![column] ?? -1;
      const key = i + column - count - side;
      return key < 0 || key >= length || isGlobal(b, key) ? -1 : key;
    };
    const shape = [batch, numHeads, length, count + 2 * side + 1] as const;
    return pick(weights, shape, (b, h, i, column) => {
      const key = keyOf(b, i, column);
      return key < 0 ? -1 : ((b * numHeads + h) * length + i) * length + key;
    });
  }

  /** Weights of the global tokens [B, H, G, T] → by key, [B, H, T', G], T' the next multiple of the largest window. */
  #byKey(weights: Tensor | undefined, device: DeviceName, { batch, length, globals }: EncoderStep): Tensor {
    const { multiple, numHeads } = this.options;
    const count = globals?.count ?? 0;
    const shape = [batch, numHeads, Math.ceil(length / multiple) * multiple, count] as const;
    if (!weights) return tensor(new Float32Array(0), shape, { device });
    return pick(weights, shape, (b, h, key, g) =>
      key < length && g < globals!.positions[b]!.length ? ((b * numHeads + h) * count + g) * length + key : -1,
    );
  }

  [Symbol.dispose](): void {
    for (const part of [this.#projections, ...this.#global]) part[Symbol.dispose]();
  }
}

/** A tensor of some shape whose elements are those of x at `indexOf`, 0 where that is -1. */
function pick(
  x: Tensor,
  shape: readonly [number, number, number, number],
  indexOf: (b: number, h: number, i: number, j: number) => number,
): Tensor {
  const [batch, heads, rows, columns] = shape;
  const index = new Int32Array(batch * heads * rows * columns);
  let at = 0;
  for (let b = 0; b < batch; ++b) {
    for (let h = 0; h < heads; ++h) {
      for (let i = 0; i < rows; ++i) for (let j = 0; j < columns; ++j) index[at++] = indexOf(b, h, i, j);
    }
  }
  return gatherRows(x.reshape([-1, 1]), tensor(index, [index.length], { device: x.device })).reshape(shape);
}
