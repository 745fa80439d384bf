import { native } from '../native';
import { checkInteger, checkOneOf, checkOptions, rangeError, typeError } from '../check';
import { defaultDevice, deviceNumber, type Device } from '../tensor/device';
import { scope } from '../tensor/scope';
import { CACHE_DTYPES, tensor, unwrap, wrap, type CacheDType, type Tensor } from '../tensor/tensor';
import { gatherRows } from './gather-rows';

/** Keys of a page: the native kPageKeys. */
export const PAGE_KEYS = 64;
/** Of all layers: a terabyte. */
const MAX_ELEMENTS = 2 ** 38;

export interface KVCacheOptions {
  numLayers: number;
  /** Sequences. */
  batch: number;
  /** Keys that each sequence may come to hold. */
  capacity: number;
  numKvHeads: number;
  /** Width of a key. */
  headDim: number;
  /** Width of a value. Default: headDim. */
  valueDim?: number | undefined;
  /**
   * Of keys and values, and of the queries that meet them; or smaller than theirs: 'int8', with a scale for each key and
   * each value of a head, or a half dtype where they are float32. Default 'float32'.
   */
  dtype?: CacheDType | undefined;
  /** Default: see setDefaultDevice. */
  device?: Device | undefined;
}

/** One layer's keys and values: what `attention` reads. */
export interface LayerCache {
  readonly pages: Tensor;
  readonly blockTable: Tensor;
  readonly lengths: Tensor;
  readonly valueDim: number;
}

/** For the library: what a cache is made of. */
export class CacheParts {
  constructor(
    /** One of each layer. */
    readonly pages: readonly Tensor[],
    readonly blockTable: Tensor,
    readonly lengths: Tensor,
    readonly valueDim: number,
  ) {}
}

/** Keys and values to read, for every layer: what a cache holds, or holds more than once. */
export class CachedKeys implements Disposable {
  protected readonly layers: readonly LayerCache[];
  /** [batch] int32: keys that each sequence holds, the step under way not counted. */
  readonly lengths: Tensor;

  /** For the library: see KVCache. */
  constructor({ pages, blockTable, lengths, valueDim }: CacheParts) {
    this.lengths = lengths;
    this.layers = pages.map((own) => ({ pages: own, blockTable, lengths, valueDim }));
  }

  /** @throws RangeError if there is no such layer. */
  layer(index: number): LayerCache {
    checkInteger('KVCache.layer', 'index', index, 0, this.layers.length - 1);
    return this.layers[index]!;
  }

  /**
   * Every sequence `times` times, one behind the other, for reading: as it is now, in the same pages, of which nothing
   * is copied. They live as long as one of the two.
   *
   * @throws TypeError, RangeError for a number that is none or not whole and at least 1.
   */
  repeat(times: number): CachedKeys {
    checkInteger('KVCache.repeat', 'times', times, 1, 2 ** 20);
    const batch = this.lengths.shape[0]!;
    return new CachedKeys(this.picked(Int32Array.from({ length: batch * times }, (_, row) => Math.floor(row / times))));
  }

  /** For the library: these sequences, for reading, in the same pages. */
  pick(rows: Int32Array): CachedKeys {
    return new CachedKeys(this.picked(rows));
  }

  /** These sequences, as they are now, in the same pages. */
  protected picked(rows: Int32Array): CacheParts {
    return scope(() => {
      const index = tensor(rows, [rows.length], { device: this.lengths.device });
      const { blockTable, valueDim } = this.layer(0);
      return new CacheParts(
        this.layers.map(({ pages }) => pages.reshape(pages.shape)),
        gatherRows(blockTable, index),
        gatherRows(this.lengths.reshape([-1, 1]), index).reshape([rows.length]),
        valueDim,
      );
    });
  }

  dispose(): void {
    for (const { pages } of this.layers) pages.dispose();
    this.layer(0).blockTable.dispose();
    this.lengths.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Keys and values of the tokens seen so far, for every layer, in pages of 64 keys. Appending is the one thing in
 * heddle that writes in place: it is for a step's new tokens, layer by layer, and `advance` then ends the step.
 * Sequences may have different lengths; tokens are ragged, `cuSeqlens` [batch + 1] int32 says whose they are.
 */
export class KVCache extends CachedKeys {
  constructor(options: KVCacheOptions | CacheParts) {
    super(options instanceof CacheParts ? options : emptyParts(options));
  }

  /**
   * Puts the step's keys and values behind those that a layer's sequences hold.
   *
   * @param k [N, numKvHeads, headDim] of the cache's dtype, or of one that it is smaller than; v the same with valueDim.
   * A sequence that outgrows its capacity is a RangeError when results are read (code CACHE_FULL).
   */
  append(layer: number, k: Tensor, v: Tensor, cuSeqlens: Tensor): void {
    const { pages, blockTable, lengths, valueDim } = this.layer(layer);
    const name = 'KVCache.append';
    native.appendKV(
      unwrap(name, 'k', k),
      unwrap(name, 'v', v),
      unwrap(name, 'cuSeqlens', cuSeqlens),
      unwrap(name, 'cache', pages),
      unwrap(name, 'cache', blockTable),
      unwrap(name, 'cache', lengths),
      valueDim,
    );
  }

  /** Ends a step in which every layer appended. */
  advance(cuSeqlens: Tensor): void {
    const name = 'KVCache.advance';
    native.advanceLengths(unwrap(name, 'cuSeqlens', cuSeqlens), unwrap(name, 'cache', this.lengths));
  }

  /** For the library: these sequences go on in the same pages; this cache is then to be disposed of. */
  override pick(rows: Int32Array): KVCache {
    return new KVCache(this.picked(rows));
  }

  /**
   * Row r goes on from what row `sources[r]` holds; rows come in groups of `group`, a source is one of the same group.
   * Full pages are shared, the page begun is copied where several go on from one.
   *
   * @param sources [batch] int32
   * Sources outside their group, or that hold different numbers of keys, are a RangeError when results are read (code
   * INDEX_OUT_OF_RANGE).
   */
  reorder(sources: Tensor, group: number): void {
    const name = 'KVCache.reorder';
    checkInteger(name, 'group', group, 1);
    const [table, lengths] = [this.layer(0).blockTable, this.lengths].map((part) => unwrap(name, 'cache', part));
    using copies = wrap(native.reorderCache(unwrap(name, 'sources', sources), group, table!, lengths!));
    const handle = unwrap(name, 'copies', copies);
    for (const { pages } of this.layers) native.copyPages(handle, unwrap(name, 'cache', pages));
  }
}

/** Pages for every sequence, in order, of which nothing is held yet. */
function emptyParts(options: KVCacheOptions): CacheParts {
  const name = 'KVCache';
  const keys = ['numLayers', 'batch', 'capacity', 'numKvHeads', 'headDim', 'valueDim', 'dtype', 'device'];
  checkOptions(name, options, keys);
  if (options === undefined) throw typeError(name, 'options', 'an object', options);
  const { numLayers, batch, capacity, numKvHeads, headDim, valueDim = headDim, dtype = 'float32' } = options;
  for (const [key, value] of Object.entries({ numLayers, batch, capacity, numKvHeads, headDim, valueDim })) {
    checkInteger(name, key, value, 1, 2 ** 31 - 1);
  }
  checkOneOf(name, 'dtype', dtype, CACHE_DTYPES);
  const pagesPerSequence = Math.ceil(capacity / PAGE_KEYS);
  const numPages = batch * pagesPerSequence;
  const shape = [numPages, numKvHeads, native.pageElements(headDim, valueDim, dtype)];
  if (numLayers * shape.reduce((product, size) => product * size, 1) > MAX_ELEMENTS) {
    throw rangeError(name, 'capacity', 'small enough for pages of less than a terabyte', capacity);
  }
  const { device = defaultDevice() } = options;
  const number = deviceNumber(name, 'device', device);
  const pages = Array.from({ length: numLayers }, () => wrap(native.emptyTensor(shape, dtype, number)));
  const table = Int32Array.from({ length: numPages }, (_, page) => page);
  const blockTable = tensor(table, [batch, pagesPerSequence], { device });
  return new CacheParts(pages, blockTable, tensor(new Int32Array(batch), [batch], { device }), valueDim);
}
