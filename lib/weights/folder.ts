import { existsSync } from 'node:fs';
import * as path from 'node:path';
import { show } from '../check';
import { readJson } from '../json';
import type { DeviceName } from '../tensor/device';
import type { FloatDType, Tensor } from '../tensor/tensor';
import { SafetensorsFile, type SafetensorsEntry, type WeightLayout } from './safetensors';

const FILE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const DTYPES: Readonly<Record<string, FloatDType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' };

/**
 * The weights of a Hugging Face folder: those of model.safetensors, or of the shards that model.safetensors.index.json
 * names. Shards are files of the folder itself, whatever the index says.
 */
export class WeightFolder implements Disposable {
  private constructor(
    /** The file that says which weights there are. */
    readonly path: string,
    readonly device: DeviceName,
    readonly files: readonly SafetensorsFile[],
    private readonly places: ReadonlyMap<string, SafetensorsFile>,
  ) {}

  /**
   * @throws Error with code FILE_NOT_FOUND or READ_FAILED; RangeError for an index or a file that breaks the rules, with
   *   code INVALID_SAFETENSORS for a file.
   */
  static async open(folder: string, device: DeviceName): Promise<WeightFolder> {
    const whole = path.join(folder, FILE);
    const index = path.join(folder, INDEX);
    const json = existsSync(whole) ? undefined : await readJson('loadModel', index);
    if (json === undefined) {
      const file = new SafetensorsFile(whole, device);
      return new WeightFolder(whole, device, [file], new Map([...file.entries.keys()].map((name) => [name, file])));
    }
    const map = shardsOf(index, json.weight_map);
    const files = new Map<string, SafetensorsFile>();
    try {
      const places = new Map<string, SafetensorsFile>();
      for (const [name, shard] of map) {
        const file = files.get(shard) ?? new SafetensorsFile(path.join(folder, shard), device);
        files.set(shard, file);
        if (!file.entries.has(name)) {
          throw new RangeError(`[loadModel] ${index}: ${show(name)} must be in ${shard} but is not`);
        }
        places.set(name, file);
      }
      return new WeightFolder(index, device, [...files.values()], places);
    } catch (error) {
      for (const file of files.values()) file[Symbol.dispose]();
      throw error;
    }
  }

  /** Undefined where there is no tensor of that name. */
  find(name: string): SafetensorsEntry | undefined {
    return this.places.get(name)?.entries.get(name);
  }

  /** Queues the reading of a tensor that is there. */
  load(name: string, layout: WeightLayout): Tensor {
    return (this.places.get(name) as SafetensorsFile).load(name, layout);
  }

  /** That of most bytes; 'float32' if no tensor has one of ours. */
  get dtype(): FloatDType {
    const bytes = { float32: 0, float16: 0, bfloat16: 0 };
    for (const name of this.places.keys()) {
      const { dtype, begin, end } = this.find(name) as SafetensorsEntry;
      const own = DTYPES[dtype];
      if (own) bytes[own] += end - begin;
    }
    const [first] = Object.entries(bytes).sort(([, a], [, b]) => b - a);
    return first?.[0] as FloatDType;
  }

  /** Closes the files once what is queued has been read. */
  [Symbol.dispose](): void {
    for (const file of this.files) file[Symbol.dispose]();
  }
}

/** The `weight_map` of an index: tensor → file. */
function shardsOf(index: string, map: unknown): [name: string, shard: string][] {
  if (typeof map !== 'object' || map === null || Array.isArray(map)) {
    throw new RangeError(`[loadModel] ${index}: weight_map must be an object but is ${show(map)}`);
  }
  return Object.entries(map).map(([name, shard]: [string, unknown]) => {
    // A plain name: an index must not reach outside its folder.
    if (typeof shard === 'string' && /^[^/\\:.][^/\\:]*\.safetensors$/.test(shard)) return [name, shard];
    throw new RangeError(
      `[loadModel] ${index}: ${show(name)} must be in a .safetensors file of the folder but is in ${show(shard)}`,
    );
  });
}
