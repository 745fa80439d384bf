import type { ParameterSource } from '../nn/parameters';
import type { DeviceName } from '../tensor/device';
import type { FloatDType, Tensor } from '../tensor/tensor';
import type { WeightFolder } from '../weights/folder';
import type { SafetensorsEntry } from '../weights/safetensors';
import type { Recipe } from './recipe';

/** A recipe's view of a folder's weights: parameters by their path in the model, in one dtype. Keeps what it has loaded. */
export class Checkpoint implements ParameterSource {
  readonly loaded: { tensor: Tensor; bytes: number }[] = [];

  constructor(
    private readonly weights: WeightFolder,
    private readonly recipe: Recipe,
    private readonly dtype: FloatDType,
  ) {}

  get device(): DeviceName {
    return this.weights.device;
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
    const { name, olderName, transposed = false } = this.recipe.locate(path);
    const entry = this.#find(name, olderName);
    const wanted = transposed ? shape.toReversed() : shape;
    if (wanted.join() !== entry.shape.join()) {
      const found = `[${entry.shape.join(', ')}]`;
      throw new RangeError(
        `[loadModel] ${this.weights.path}: ${entry.name} must have shape [${wanted.join(', ')}] but has ${found}`,
      );
    }
    const tensor = this.weights.load(entry.name, { transposed, packed, dtype: this.dtype });
    this.loaded.push({ tensor, bytes: entry.end - entry.begin });
    return tensor;
  }

  #find(name: string, olderName: string = name): SafetensorsEntry {
    for (const prefix of this.recipe.prefixes) {
      const entry = this.weights.find(prefix + name) ?? this.weights.find(prefix + olderName);
      if (entry) return entry;
    }
    const tried = this.recipe.prefixes.map((prefix) => prefix + name).join(' nor ');
    throw new RangeError(`[loadModel] ${this.weights.path} has no tensor ${tried}`);
  }

  /** Gives back everything loaded, for a load that failed: what else failed in it is not the news. */
  async discard(): Promise<void> {
    await Promise.allSettled(this.loaded.map(({ tensor }) => tensor.ready()));
    for (const { tensor } of this.loaded) tensor.dispose();
  }
}
