import { types } from 'node:util';
import { native, type MaskHandles } from '../native';
import { checkInteger, checkOneOf, checkOptions, rangeError, typeError } from '../check';
import { matrixToSvg } from './picture';
import { defaultDevice, type Device } from '../tensor/device';
import { scope } from '../tensor/scope';
import { shapeOf, Tensor, tensor, unwrap, wrap } from '../tensor/tensor';

/** Kinds of nodes, in the order of the native MaskKind. */
const KINDS = [
  ...([
    'causal',
    'window',
    'stride',
    'block',
    'blockTail',
    'random',
    'prefix',
    'suffix',
    'documents',
    'global',
  ] as const),
  ...(['dense', 'blocks', 'tree', 'and', 'or', 'not'] as const),
] as const;
type Kind = (typeof KINDS)[number];

/** Tensors that one mask may name: the native kMaxData. */
const MAX_TENSORS = 4;
const MAX_EXTENT = 2 ** 30;
/** Keys that a position may draw: the native kMaxRandom. */
const MAX_RANDOM = 64;

/** What a piece names: a tensor, or values that become one where the mask is used. */
type Data = Tensor | { readonly values: Int32Array | Uint8Array; readonly shape: readonly number[] };

export interface BigBirdOptions {
  /** Positions of a block. Default 64. */
  blockSize?: number | undefined;
  /** Neighbours that a block sees, itself among them; an odd number. Default 3. */
  windowBlocks?: number | undefined;
  /** Blocks at both ends that see all and are seen by all. Default 2. */
  globalBlocks?: number | undefined;
  /** Default 3. */
  randomBlocks?: number | undefined;
  /** Default 0. */
  seed?: number | undefined;
}

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
    private readonly data?: Data,
  ) {}

  /** For the library: see `mask`. */
  static piece(kind: Kind, args: readonly [number, number] = [0, 0], data?: Data): Mask {
    return new Mask(kind, args, [], data);
  }

  /** For the library: whether this is `mask.causal()` alone, which attention has a flag for. */
  get isCausal(): boolean {
    return this.kind === 'causal' && this.args[0] === 0;
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

  /** An SVG document of the first sequence and head: queries downwards, keys to the right; light and dark. */
  async toSVG(extent: MaskExtent & { title?: string | undefined }): Promise<string> {
    const { title = 'mask', ...sizes } = extent ?? {};
    if (typeof title !== 'string') throw typeError('Mask.toSVG', 'title', 'a string', title);
    const values = await this.toArray(sizes);
    return matrixToSvg({ values, rows: sizes.queries, columns: sizes.keys, title });
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

  /** For the library, in a scope: the native form on a device, which lives as long as that. */
  lower(device: Device): MaskHandles {
    const nodes: number[] = [];
    const data: number[] = [];
    const visit = ({ kind, args, operands, data: own }: Mask): number => {
      const children = operands.map(visit);
      const [a, b] = own === undefined ? [children[0] ?? args[0], children[1] ?? args[1]] : [data.length, args[1]];
      if (own !== undefined) {
        data.push(unwrap('Mask', 'mask', own instanceof Tensor ? own : tensor(own.values, own.shape, { device })));
      }
      return nodes.push(KINDS.indexOf(kind), a, b, 0) / 4 - 1;
    };
    visit(this);
    if (data.length > MAX_TENSORS) {
      throw new RangeError(`[Mask] a mask may name ${MAX_TENSORS} lists or tensors but names ${data.length}`);
    }
    const [d0 = 0, d1 = 0, d2 = 0, d3 = 0] = data;
    return [Int32Array.from(nodes), d0, d1, d2, d3];
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
    return scope(() => {
      const offsets = tensor(new Int32Array(shape[0]).fill(offset), [shape[0]], { device });
      return wrap(query(...this.lower(device), unwrap('Mask', 'offset', offsets), shape));
    });
  }
}

/** The native form of no mask. */
export const NO_MASK: MaskHandles = [undefined, 0, 0, 0, 0];

export function checkMask(name: string, argument: string, value: unknown): Mask {
  if (!(value instanceof Mask)) throw typeError(name, argument, 'a mask', value);
  return value;
}

function checkExtent(name: string, extent: MaskExtent) {
  if (extent === undefined) throw typeError(name, 'extent', 'an object', extent);
  checkOptions(name, extent, ['queries', 'keys', 'batch', 'heads', 'offset']);
  const { queries, keys, batch = 1, heads = 1 } = extent;
  for (const [key, value] of Object.entries({ queries, keys, batch, heads })) {
    checkInteger(name, key, value, 1, MAX_EXTENT);
  }
  const { offset = keys - queries } = extent;
  checkInteger(name, 'offset', offset, -MAX_EXTENT, MAX_EXTENT);
  return { shape: [batch, heads, queries, keys] as const, offset };
}

/** For the library: lengths, or other lists of whole numbers, as a tensor or its values. */
export function integers(name: string, argument: string, value: unknown, low = 0): Tensor | Int32Array {
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

/** A piece over a list of whole numbers. */
function listPiece(kind: Kind, name: string, argument: string, value: unknown, low = 0): Mask {
  const list = integers(name, argument, value, low);
  if (list instanceof Tensor) return Mask.piece(kind, [0, 0], list);
  const shape = kind === 'documents' ? [1, list.length] : [list.length];
  return Mask.piece(kind, [0, 0], { values: list, shape });
}

/** The pieces that masks are made of. */
export const mask = {
  /**
   * Keys up to the query's own position: the last query sees every key, as with a cache. `align: 'top-left'`: query i
   * sees the keys 0 … i.
   */
  causal(options: { align?: 'bottom-right' | 'top-left' | undefined } = {}): Mask {
    checkOptions('mask.causal', options, ['align']);
    const { align = 'bottom-right' } = options;
    checkOneOf('mask.causal', 'align', align, ['bottom-right', 'top-left']);
    return Mask.piece('causal', [Number(align === 'top-left'), 0]);
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

  /** A sliding window with gaps: the query's own key and the n - 1 before it, `dilation` apart (Beltagy et al., 2020). */
  dilated(window: number, dilation: number): Mask {
    checkInteger('mask.dilated', 'window', window, 1, 2 ** 15);
    checkInteger('mask.dilated', 'dilation', dilation, 1, 2 ** 15);
    return Mask.piece('window', [(window - 1) * dilation, 0]).and(Mask.piece('stride', [dilation, 0]));
  },

  /** The last `stride` keys, and every stride-th before (Child et al., 2019, section 4.3: strided attention). */
  strided(stride: number): Mask {
    checkInteger('mask.strided', 'stride', stride, 1, MAX_EXTENT);
    return Mask.piece('causal').and(Mask.piece('window', [stride - 1, 0]).or(Mask.piece('stride', [stride, 0])));
  },

  /** The query's own block, and the last `summary` keys of each before (Child et al., 2019, section 4.3: fixed). */
  fixed(block: number, summary: number): Mask {
    checkInteger('mask.fixed', 'block', block, 1, MAX_EXTENT);
    checkInteger('mask.fixed', 'summary', summary, 1, block);
    return Mask.piece('causal').and(Mask.piece('block', [block, 0]).or(Mask.piece('blockTail', [block, summary])));
  },

  /**
   * `perRow` distinct keys for each position, drawn from all by Philox (BigBird's random attention: Zaheer et al., 2020,
   * section 2). The same for every head; which keys there are depends on how many the sequence has.
   */
  random(seed: number, perRow: number): Mask {
    checkInteger('mask.random', 'seed', seed, 0, 2 ** 31 - 1);
    checkInteger('mask.random', 'perRow', perRow, 1, MAX_RANDOM);
    return Mask.piece('random', [perRow, seed]);
  },

  /**
   * BigBird (Zaheer et al., 2020, section 2), by blocks: each block of queries sees its neighbours, the first and last
   * block (which see all), and some random ones.
   */
  bigBird(length: number, options: BigBirdOptions = {}): Mask {
    const name = 'mask.bigBird';
    checkInteger(name, 'length', length, 1, MAX_EXTENT);
    checkOptions(name, options, ['blockSize', 'windowBlocks', 'globalBlocks', 'randomBlocks', 'seed']);
    const { blockSize = 64, windowBlocks = 3, globalBlocks = 2, randomBlocks = 3, seed = 0 } = options;
    checkInteger(name, 'blockSize', blockSize, 1, MAX_EXTENT);
    for (const [key, value] of Object.entries({ windowBlocks, globalBlocks, randomBlocks })) {
      checkInteger(name, key, value, 0, 2 ** 15);
    }
    checkInteger(name, 'seed', seed, 0, 2 ** 31 - 1);
    const count = Math.ceil(length / blockSize);
    const [first, side] = [Math.ceil(globalBlocks / 2), Math.floor(windowBlocks / 2)];
    const isGlobal = (block: number) => block < first || block >= count - (globalBlocks - first);
    const next = generator(seed);
    const layout = Array.from({ length: count }, (_, i) => {
      const row = Array.from({ length: count }, (_, j) => isGlobal(i) || isGlobal(j) || Math.abs(i - j) <= side);
      const others = row.flatMap((kept, j) => (kept ? [] : [j]));
      for (let left = randomBlocks; left > 0 && others.length > 0; --left) {
        row[others.splice(Math.floor(next() * others.length), 1)[0]!] = true;
      }
      return row;
    });
    return mask.blocks(layout, blockSize);
  },

  /** Keys before a sequence's length: [B], or one number for all; with `side: 'left'` the last so many keys. */
  padding(lengths: Lengths, options: { side?: 'left' | 'right' | undefined } = {}): Mask {
    checkOptions('mask.padding', options, ['side']);
    const { side = 'right' } = options;
    checkOneOf('mask.padding', 'side', side, ['left', 'right']);
    return listPiece(side === 'left' ? 'suffix' : 'prefix', 'mask.padding', 'lengths', lengths);
  },

  /** Keys of a prefix, which every query sees: `mask.causal().or(mask.prefix(lengths))` is a prefix language model. */
  prefix(lengths: Lengths): Mask {
    return listPiece('prefix', 'mask.prefix', 'lengths', lengths);
  },

  /** Keys of the query's own document: ids [T] for all sequences, or an int32 tensor [B, T]; negative: none. */
  documents(ids: readonly number[] | Int32Array | Tensor): Mask {
    return listPiece('documents', 'mask.documents', 'ids', ids, -MAX_EXTENT);
  },

  /** Positions that see all keys and that all queries see (Beltagy et al., 2020, section 3.1). */
  globalTokens(positions: readonly number[] | Int32Array): Mask {
    return listPiece('global', 'mask.globalTokens', 'positions', positions);
  },

  /**
   * Keys of the blocks that a query's block sees: `layout[i][j]` for blocks i of positions and j of keys, of
   * `blockSize` each; outside the layout nothing is seen. One layout, or one a head as a bool tensor [H, n, m].
   */
  blocks(layout: readonly (readonly (boolean | number)[])[] | Tensor, blockSize: number): Mask {
    const name = 'mask.blocks';
    checkInteger(name, 'blockSize', blockSize, 1, MAX_EXTENT);
    if (layout instanceof Tensor) {
      const shape = shapeOf(name, 'layout', layout);
      if (layout.dtype !== 'bool') throw typeError(name, 'layout', 'of dtype bool', layout.dtype);
      if (shape.length !== 3) throw rangeError(name, 'layout', 'of shape [H, n, m]', shape);
      return Mask.piece('blocks', [0, blockSize], layout);
    }
    const values = flags(name, 'layout', layout);
    return Mask.piece('blocks', [0, blockSize], { values, shape: [1, layout.length, layout[0]?.length ?? 0] });
  },

  /**
   * A tree of tokens behind the keys that are there already, as speculative decoding verifies it (Miao et al., 2024,
   * section 4.1): query i is node i, and sees those keys, its ancestors and itself.
   *
   * @param parents of each node the parent's number, smaller than its own; -1: none.
   */
  tree(parents: readonly number[] | Int32Array): Mask {
    const list = integers('mask.tree', 'parents', parents, -1) as Int32Array;
    const count = list.length;
    checkInteger('mask.tree', 'parents.length', count, 1, 4096);
    const values = new Uint8Array(count * count);
    for (const [i, parent] of list.entries()) {
      checkInteger('mask.tree', `parents[${i}]`, parent, -1, i - 1);
      if (parent >= 0) values.copyWithin(i * count, parent * count, (parent + 1) * count);
      values[i * count + i] = 1;
    }
    return Mask.piece('tree', [0, 0], { values, shape: [count, count] });
  },

  /** Any mask as a bool tensor [B or 1, H or 1, Tq or 1, Tk or 1]; true: may attend. */
  dense(values: Tensor): Mask {
    const shape = shapeOf('mask.dense', 'values', values);
    if (values.dtype !== 'bool') throw typeError('mask.dense', 'values', 'of dtype bool', values.dtype);
    if (shape.length !== 4) throw rangeError('mask.dense', 'values', 'of shape [B, H, Tq, Tk]', shape);
    return Mask.piece('dense', [0, 0], values);
  },
};

/** Numbers in [0, 1) that a seed gives (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Rows of one length as bits. */
function flags(name: string, argument: string, rows: unknown): Uint8Array {
  if (!Array.isArray(rows)) throw typeError(name, argument, 'rows of booleans or a tensor', rows);
  const width = (rows[0] as unknown[] | undefined)?.length ?? 0;
  return Uint8Array.from(
    (rows as unknown[]).flatMap((row, i) => {
      if (!Array.isArray(row)) throw typeError(name, `${argument}[${i}]`, 'an array', row);
      if (row.length !== width) throw rangeError(name, `${argument}[${i}]`, `of ${width} items`, row);
      return row.map((item, j) => {
        if (item !== 0 && item !== 1 && typeof item !== 'boolean') {
          throw typeError(name, `${argument}[${i}][${j}]`, 'true or false', item);
        }
        return Number(item);
      });
    }),
  );
}
