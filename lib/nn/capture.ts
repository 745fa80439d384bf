import type { Tensor } from '../tensor/tensor';

/** Inner tensors that a pass is asked for, by path: modules offer theirs, and what was asked for is kept. */
export class Capture {
  readonly tensors: Record<string, Tensor> = {};
  readonly #wanted: ReadonlySet<string>;

  constructor(paths: readonly string[]) {
    this.#wanted = new Set(paths);
  }

  wants(path: string): boolean {
    return this.#wanted.has(path);
  }

  /** Keeps x if its path was asked for. */
  offer(path: string, x: Tensor): void {
    if (this.wants(path)) this.tensors[path] = x;
  }

  /** Whether x was kept. */
  holds(x: Tensor): boolean {
    return Object.values(this.tensors).includes(x);
  }
}
