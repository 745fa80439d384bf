import { native } from '../native';
import { deviceNumber, type DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import { tensor, unwrap, wrap, type CacheDType, type Tensor } from '../tensor/tensor';
import { concat } from './concat';
import { CacheParts, KVCache, PAGE_KEYS } from './kv-cache';

/**
 * Pages of keys and values of every layer, for sequences that come and go and may share them. Its memory goes with the
 * last of its users.
 */
export class PagePool {
  #pages: Tensor[] = [];
  /** Of each page, by how many sequences it is held. */
  readonly #holders: number[] = [];
  #turns: Promise<void> = Promise.resolve();
  #users = 0;

  constructor(
    readonly options: {
      numLayers: number;
      numKvHeads: number;
      headDim: number;
      dtype: CacheDType;
      device: DeviceName;
    },
  ) {}

  /** A sequence's table of pages for `keys` keys, of which it holds `held`: pages that it may write are its own. */
  reserve(table: readonly number[], held: number, keys: number): number[] {
    const own = [...table];
    const first = Math.floor(held / PAGE_KEYS); // the first page to be written
    const needed = Math.ceil(keys / PAGE_KEYS);
    const begun = own[first];
    const isShared = held % PAGE_KEYS > 0 && begun !== undefined && this.#holders[begun]! > 1;
    const kept = own.slice(0, isShared ? first : Math.max(first, Math.min(own.length, needed)));
    for (const page of own.slice(kept.length)) this.#drop(page);
    while (kept.length < needed) kept.push(this.#take());
    if (isShared) this.#copy(begun, kept[first]!);
    return kept;
  }

  /** One holder more. */
  share(table: readonly number[]): number[] {
    for (const page of table) this.#holders[page]! += 1;
    return [...table];
  }

  release(table: readonly number[]): void {
    for (const page of table) this.#drop(page);
  }

  /** The pages that hold `held` keys; the others are given back. */
  trim(table: readonly number[], held: number): number[] {
    const kept = table.slice(0, Math.ceil(held / PAGE_KEYS));
    this.release(table.slice(kept.length));
    return kept;
  }

  /** Resolves when those who asked before are done; to be told when this one is. */
  async turn(): Promise<() => void> {
    const before = this.#turns;
    let done = (): void => undefined;
    this.#turns = new Promise((resolve) => (done = resolve));
    await before;
    return done;
  }

  /** A cache of one sequence in these pages, which holds `held` keys. */
  cache(table: readonly number[], held: number): KVCache {
    const { device, headDim } = this.options;
    return new KVCache(
      new CacheParts(
        this.#pages.map((pages) => pages.reshape(pages.shape)),
        tensor(Int32Array.from(table), [1, table.length], { device }),
        tensor(Int32Array.of(held), [1], { device }),
        headDim,
      ),
    );
  }

  #drop(page: number): void {
    this.#holders[page]! -= 1;
  }

  #take(): number {
    let page = this.#holders.indexOf(0);
    if (page < 0) {
      page = this.#holders.length;
      this.#grow(Math.max(4, page));
    }
    this.#holders[page] = 1;
    return page;
  }

  /** Twice the pages: the old ones keep their numbers. */
  #grow(count: number): void {
    const { numLayers, numKvHeads, headDim, dtype, device } = this.options;
    const shape = [count, numKvHeads, native.pageElements(headDim, headDim, dtype)];
    const number = deviceNumber('PagePool', 'device', device);
    const before = this.#pages;
    this.#pages = Array.from({ length: numLayers }, (_, layer) =>
      scope(() => {
        const more = wrap(native.emptyTensor(shape, dtype, number));
        const held = before[layer];
        if (!held) return more;
        const none = tensor(Int32Array.of(-1, -1), [1, 2], { device });
        native.copyPages(unwrap('PagePool', 'copies', none), unwrap('PagePool', 'pages', more)); // so that it has memory
        return concat([held, more]);
      }),
    );
    for (const pages of before) pages.dispose();
    this.#holders.push(...new Array<number>(count).fill(0));
  }

  #copy(from: number, to: number): void {
    using copies = tensor(Int32Array.of(from, to), [1, 2], { device: this.options.device });
    const handle = unwrap('PagePool', 'copies', copies);
    for (const pages of this.#pages) native.copyPages(handle, unwrap('PagePool', 'pages', pages));
  }

  retain(): void {
    this.#users += 1;
  }
  letGo(): void {
    this.#users -= 1;
    if (this.#users === 0) for (const pages of this.#pages) pages.dispose();
  }
}
