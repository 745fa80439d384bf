import type { DeviceName } from '../tensor/device';
import type { CacheDType, FloatDType, QuantizedDType, Tensor } from '../tensor/tensor';
import type { WeightFolder } from '../weights/folder';
import type { SafetensorsEntry } from '../weights/safetensors';
import type { Config } from './config';
import type { Recipe, StoredParameters } from './recipe';

/** A recipe's view of a folder's weights: parameters by their path in the model, in one dtype. Keeps what it has loaded. */
export class Checkpoint implements StoredParameters, AsyncDisposable {
  readonly loaded: { tensor: Tensor; bytes: number }[] = [];

  constructor(
    private readonly weights: WeightFolder,
    private readonly recipe: Recipe,
    private readonly config: Config,
    readonly dtype: FloatDType,
    private readonly quantize?: QuantizedDType,
    readonly cacheDtype?: CacheDType,
  ) {}

  get device(): DeviceName {
    return this.weights.device;
  }

  has(path: string): boolean {
    const { name, otherNames } = this.recipe.locate(path, this.config);
    return this.#find(name, otherNames) !== undefined;
  }

  matrix(path: string, shape: readonly [number, number]): Tensor {
    return this.#load(path, shape, true);
  }

  dense(path: string, shape: readonly number[]): Tensor {
    return this.#load(path, shape, false);
  }

  /** Resolves when everything loaded so far is in place, calling back for each; rejects if a read failed. */
  async ready(onLoaded: (bytes: number) => void): Promise<void> {
    for (const { tensor, bytes } of this.loaded) {
      await tensor.ready();
      onLoaded(bytes);
    }
  }

  #load(path: string, shape: readonly number[], packed: boolean): Tensor {
    const stored = this.recipe.locate(path, this.config);
    const { name, otherNames, transposed = false, rowsBefore = 0, leadingAxis = false } = stored;
    const entry = this.#find(name, otherNames);
    if (!entry) {
      const tried = this.recipe.prefixes.map((prefix) => prefix + name).join(' nor ');
      throw new RangeError(`[loadModel] ${this.weights.path} has no tensor ${tried}`);
    }
    const rows = shape.with(0, shape[0]! + rowsBefore);
    const wanted = [...(leadingAxis ? [1] : []), ...(transposed ? rows.toReversed() : rows)];
    if (wanted.join() !== entry.shape.join()) {
      const found = `[${entry.shape.join(', ')}]`;
      throw new RangeError(
        `[loadModel] ${this.weights.path}: ${entry.name} must have shape [${wanted.join(', ')}] but has ${found}`,
      );
    }
    const dtype = (packed ? this.quantize : undefined) ?? this.dtype;
    let tensor = this.weights.load(entry.name, { transposed, packed, dtype });
    if (rowsBefore > 0 || leadingAxis) {
      using whole = tensor; // a view holds its storage
      tensor = leadingAxis ? whole.reshape(shape) : whole.slice(0, rowsBefore, rows[0]!);
    }
    this.loaded.push({ tensor, bytes: entry.end - entry.begin });
    return tensor;
  }

  #find(name: string, otherNames: readonly string[] = []): SafetensorsEntry | undefined {
    for (const prefix of this.recipe.prefixes) {
      for (const one of [name, ...otherNames]) {
        const entry = this.weights.find(prefix + one);
        if (entry) return entry;
      }
    }
    return undefined;
  }

  /** Gives back everything loaded, for a load that failed: what else failed in it is not the news. */
  async discard(): Promise<void> {
    await Promise.allSettled(this.loaded.map(({ tensor }) => tensor.ready()));
    for (const { tensor } of this.loaded) tensor.dispose();
  }

  /** For weights that were only looked at: gives them back, and closes the files. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.discard();
    this.weights[Symbol.dispose]();
  }
}
