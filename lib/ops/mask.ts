import { types } from 'node:util';
import { native, type MaskHandles } from '../native';
import { checkInteger, checkOptions, rangeError, typeError } from '../check';
import { defaultDevice, type Device } from '../tensor/device';
import { shapeOf, Tensor, tensor, unwrap, wrap } from '../tensor/tensor';

/** Kinds of nodes, in the order of the native MaskKind. */
const KINDS = ['causal', 'window', 'prefix', 'documents', 'global', 'dense', 'and', 'or', 'not'] as const;
type Kind = (typeof KINDS)[number];

/** Tensors that one mask may name: the native kMaxData. */
const MAX_TENSORS = 4;
const MAX_EXTENT = 2 ** 30;

/** Whole numbers, one a sequence or one for all. */
export type Lengths = number | readonly number[] | Int32Array | Tensor;

/** Over which queries and keys a mask is written out or described. */
export interface MaskExtent {
  queries: number;
  keys: number;
  /** Default 1. */
  batch?: number | undefined;
  /** Default 1. */
  heads?: number | undefined;
  /** Position of the first query. Default keys - queries. */
  offset?: number | undefined;
}

export interface MaskDescription {
  /** Share of pairs that are kept. */
  density: number;
  /** Tiles of 64 × 64 by what the mask keeps of them; tiles with nothing are never computed. */
  tiles: { none: number; all: number; mixed: number };
}

/**
 * Which keys a query may attend to: a value, made of pieces and combined by `and`, `or`, `not`. Nothing of the size
 * Tq × Tk is ever built: pieces answer for rectangles, and only where the answer is mixed are rows of 64 keys asked.
 * Pieces speak of positions: query i stands at key position offset + i, so that the last query sees the last key.
 */
export class Mask {
  private constructor(
    readonly kind: Kind,
    private readonly args: readonly [number, number],
    private readonly operands: readonly Mask[] = [],
    private readonly data?: Tensor | Int32Array,
  ) {}

  /** For the library: see `mask`. */
  static piece(kind: Kind, args: readonly [number, number] = [0, 0], data?: Tensor | Int32Array): Mask {
    return new Mask(kind, args, [], data);
  }

  /** Keys that both keep. */
  and(other: Mask): Mask {
    return new Mask('and', [0, 0], [this, checkMask('Mask.and', 'other', other)]);
  }
  /** Keys that either keeps. */
  or(other: Mask): Mask {
    return new Mask('or', [0, 0], [this, checkMask('Mask.or', 'other', other)]);
  }
  /** Keys that this drops. */
  not(): Mask {
    return new Mask('not', [0, 0], [this]);
  }

  /** The mask as 0 and 1, row-major [batch, heads, queries, keys]: for tests and for looking at it. */
  async toArray(extent: MaskExtent): Promise<Uint8Array> {
    const { shape, offset } = checkExtent('Mask.toArray', extent);
    using result = this.#ask(offset, shape, (...args) => native.maskToArray(...args));
    return Uint8Array.from(await result.data<Int32Array>());
  }

  /** How much of the pairs it keeps, and how much of the work that saves. */
  async describe(extent: MaskExtent): Promise<MaskDescription> {
    const { shape, offset } = checkExtent('Mask.describe', extent);
    using result = this.#ask(offset, shape, (...args) => native.countMaskTiles(...args));
    const counts = [...(await result.data<Int32Array>())];
    const [none = 0, all = 0, mixed = 0, kept = 0] = [0, 1, 2, 3].map((column) =>
      counts.reduce((sum, count, i) => (i % 4 === column ? sum + count : sum), 0),
    );
    const pairs = shape.reduce((product, size) => product * size, 1);
    return { density: pairs === 0 ? 0 : kept / pairs, tiles: { none, all, mixed } };
  }

  /** For the library: calls back with the native form on a device, which lives for the call. */
  lower<T>(device: Device, body: (handles: MaskHandles) => T): T {
    const nodes: number[] = [];
    const data: Tensor[] = [];
    const made: Tensor[] = [];
    const visit = ({ kind, args, operands, data: own }: Mask): number => {
      const children = operands.map(visit);
      const [a, b] = own === undefined ? [children[0] ?? args[0], children[1] ?? args[1]] : [data.length, 0];
      if (own !== undefined) {
        const upload = (values: Int32Array) =>
          tensor(values, kind === 'documents' ? [1, values.length] : [values.length], { device });
        const given = own instanceof Tensor ? own : upload(own);
        data.push(given);
        if (given !== own) made.push(given);
      }
      return nodes.push(KINDS.indexOf(kind), a, b, 0) / 4 - 1;
    };
    try {
      visit(this);
      if (data.length > MAX_TENSORS) {
        throw new RangeError(`[Mask] a mask may name ${MAX_TENSORS} lists or tensors but names ${data.length}`);
      }
      const [d0 = 0, d1 = 0, d2 = 0, d3 = 0] = data.map((one) => unwrap('Mask', 'mask', one));
      return body([Int32Array.from(nodes), d0, d1, d2, d3]);
    } finally {
      for (const one of made) one.dispose();
    }
  }

  /** Of a tensor that it names. */
  get #device(): Device | undefined {
    const own = this.data instanceof Tensor ? this.data.device : undefined;
    return own ?? this.operands.map((operand) => operand.#device).find((device) => device !== undefined);
  }

  #ask(
    offset: number,
    shape: readonly [number, number, number, number],
    query: (...args: [...MaskHandles, offsets: number, shape: readonly number[]]) => number,
  ): Tensor {
    const device = this.#device ?? defaultDevice();
    using offsets = tensor(new Int32Array(shape[0]).fill(offset), [shape[0]], { device });
    return this.lower(device, (handles) => wrap(query(...handles, unwrap('Mask', 'offset', offsets), shape)));
  }
}

export function checkMask(name: string, argument: string, value: unknown): Mask {
  if (!(value instanceof Mask)) throw typeError(name, argument, 'a mask', value);
  return value;
}

function checkExtent(name: string, extent: MaskExtent) {
  if (extent === undefined) throw typeError(name, 'extent', 'an object', extent);
  checkOptions(name, extent, ['queries', 'keys', 'batch', 'heads', 'offset']);
  const { queries, keys, batch = 1, heads = 1, offset = keys - queries } = extent;
  for (const [key, value] of Object.entries({ queries, keys, batch, heads })) {
    checkInteger(name, key, value, 1, MAX_EXTENT);
  }
  checkInteger(name, 'offset', offset, -MAX_EXTENT, MAX_EXTENT);
  return { shape: [batch, heads, queries, keys] as const, offset };
}

/** Lengths, or other lists of whole numbers, as a tensor's values. */
function integers(name: string, argument: string, value: unknown, low = 0): Tensor | Int32Array {
  if (value instanceof Tensor) {
    if (value.dtype !== 'int32') throw typeError(name, argument, 'of dtype int32', value.dtype);
    return value;
  }
  const list = typeof value === 'number' ? [value] : value;
  if (types.isInt32Array(list)) return list.slice();
  if (!Array.isArray(list)) throw typeError(name, argument, 'whole numbers or an int32 tensor', value);
  for (const [index, item] of (list as unknown[]).entries()) {
    checkInteger(name, `${argument}[${index}]`, item, low, MAX_EXTENT);
  }
  return Int32Array.from(list as number[]);
}

/** The pieces that masks are made of. */
export const mask = {
  /** Keys up to the query's own position: the last query sees every key, as with a cache. */
  causal(): Mask {
    return Mask.piece('causal');
  },

  /**
   * `slidingWindow(n)`: the query's own key and the n - 1 before it. `slidingWindow(l, r)`: l keys before, its own, and
   * r after.
   */
  slidingWindow(left: number, right?: number): Mask {
    checkInteger('mask.slidingWindow', 'left', left, right === undefined ? 1 : 0, MAX_EXTENT);
    if (right === undefined) return Mask.piece('window', [left - 1, 0]);
    checkInteger('mask.slidingWindow', 'right', right, 0, MAX_EXTENT);
    return Mask.piece('window', [left, right]);
  },

  /** Keys before a sequence's length: [B], or one number for all. */
  padding(lengths: Lengths): Mask {
    return Mask.piece('prefix', [0, 0], integers('mask.padding', 'lengths', lengths));
  },

  /** Keys of a prefix, which every query sees: `mask.causal().or(mask.prefix(lengths))` is a prefix language model. */
  prefix(lengths: Lengths): Mask {
    return Mask.piece('prefix', [0, 0], integers('mask.prefix', 'lengths', lengths));
  },

  /** Keys of the query's own document: ids [T] for all sequences, or an int32 tensor [B, T]; negative: none. */
  documents(ids: readonly number[] | Int32Array | Tensor): Mask {
    return Mask.piece('documents', [0, 0], integers('mask.documents', 'ids', ids, -MAX_EXTENT));
  },

  /** Positions that see all keys and that all queries see (Beltagy et al., 2020, section 3.1). */
  globalTokens(positions: readonly number[] | Int32Array): Mask {
    return Mask.piece('global', [0, 0], integers('mask.globalTokens', 'positions', positions));
  },

  /** Any mask as a bool tensor [B or 1, H or 1, Tq or 1, Tk or 1]; true: may attend. */
  dense(values: Tensor): Mask {
    const shape = shapeOf('mask.dense', 'values', values);
    if (values.dtype !== 'bool') throw typeError('mask.dense', 'values', 'of dtype bool', values.dtype);
    if (shape.length !== 4) throw rangeError('mask.dense', 'values', 'of shape [B, H, Tq, Tk]', shape);
    return Mask.piece('dense', [0, 0], values);
  },
};
