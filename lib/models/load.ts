import * as path from 'node:path';
import { rangeError, show } from '../check';
import { readJson } from '../json';
import type { DeviceName } from '../tensor/device';
import { Channel } from '../tensor/program';
import { isBusy, roomInQueue } from '../tensor/queue';
import type { CacheDType, FloatDType, QuantizedDType } from '../tensor/tensor';
import { WeightFolder } from '../weights/folder';
import { bart } from './bart';
import { bert } from './bert';
import { bloom } from './bloom';
import { Checkpoint } from './checkpoint';
import { Config } from './config';
import { gpt2 } from './gpt2';
import { llama } from './llama';
import { longformer } from './longformer';
import { marian } from './marian';
import { pegasus } from './pegasus';
import type { Network, Recipe } from './recipe';
import { t5 } from './t5';

const RECIPES: readonly Recipe[] = [gpt2, llama, bloom, bert, longformer, t5, marian, bart, pegasus];

/** Architectures that can be loaded. */
export const architectures: readonly string[] = RECIPES.flatMap((recipe) => recipe.architectures);

export interface LoadProgress {
  /** Bytes of the checkpoint in place so far, and in all. */
  loaded: number;
  total: number;
}

export interface LoadOptions {
  /** Of weights and activations; logits are float32. Default: 'float32' on the CPU, else the checkpoint's. */
  dtype?: FloatDType | undefined;
  /** Of the weights of linear layers, tied token tables among them: see packWeight. Default: none. */
  quantize?: QuantizedDType | undefined;
  /**
   * Of the keys and values that a decoder keeps: 'int8', or a half dtype beside float32 activations. Default: `dtype`.
   */
  cacheDtype?: CacheDType | undefined;
  onProgress?: ((progress: LoadProgress) => void) | undefined;
  signal?: AbortSignal | undefined;
}

/** The recipe for a config, and for what: by `architectures`, or by `model_type` where that is absent. */
function recipeOf(config: Config): { recipe: Recipe; architecture: string } {
  const { architectures: named, model_type: type } = config.values;
  const names = Array.isArray(named) && named.length > 0 ? (named as unknown[]) : [type];
  for (const recipe of RECIPES) {
    const architecture = recipe.architectures.find((known) => names.includes(known));
    if (architecture !== undefined) return { recipe, architecture };
  }
  throw new RangeError(
    `[loadModel] ${config.path}: architecture ${names.map(show).join(', ')} is not supported; ` +
      `supported are ${architectures.join(', ')}`,
  );
}

/** The config.json of a Hugging Face folder. */
export async function readConfig(folder: string): Promise<Config> {
  const file = path.join(folder, 'config.json');
  const values = await readJson('loadModel', file);
  if (values) return new Config(values, file);
  throw Object.assign(new Error(`[loadModel] ${file} does not exist: a model is a Hugging Face folder`), {
    code: 'FILE_NOT_FOUND',
  });
}

/**
 * A folder's weights by their path in the model.
 *
 * @throws as loadNetwork does.
 */
export async function openCheckpoint(
  folder: string,
  config: Config,
  device: DeviceName,
  options: { dtype: FloatDType; quantize: QuantizedDType },
): Promise<Checkpoint> {
  const weights = await WeightFolder.open(folder, device);
  return new Checkpoint(weights, recipeOf(config).recipe, config, options.dtype, options.quantize);
}

/** Keys and values may be smaller than activations. */
function checkCacheDtype(cacheDtype: CacheDType | undefined, dtype: FloatDType): void {
  if (cacheDtype === undefined || cacheDtype === dtype || cacheDtype === 'int8' || dtype === 'float32') return;
  throw rangeError('loadModel', 'cacheDtype', `${dtype}, as activations are, or 'int8'`, cacheDtype);
}

/**
 * Loads the network of a Hugging Face folder onto a device.
 *
 * @throws Error with code FILE_NOT_FOUND or READ_FAILED; RangeError for what the files say; the signal's reason.
 */
export async function loadNetwork(
  folder: string,
  config: Config,
  device: DeviceName,
  { dtype, quantize, cacheDtype, onProgress, signal }: LoadOptions,
): Promise<Network> {
  signal?.throwIfAborted();
  const { recipe, architecture } = recipeOf(config);
  using weights = await WeightFolder.open(folder, device);
  const own = dtype ?? (device === 'cpu' ? 'float32' : weights.dtype);
  checkCacheDtype(cacheDtype, own);
  const checkpoint = new Checkpoint(weights, recipe, config, own, quantize, cacheDtype);
  using channel = new Channel(device); // carries the wish to abort to the native side
  const abort = () => {
    channel.abort();
  };
  signal?.addEventListener('abort', abort);
  try {
    do await roomInQueue(device);
    while (isBusy(device));
    signal?.throwIfAborted();
    const network = channel.guard(() => recipe.create(checkpoint, config, architecture));
    if (cacheDtype !== undefined && !('cacheDtype' in network)) {
      throw new RangeError(`[loadModel] cacheDtype is for models that keep keys and values: ${architecture} keeps none`);
    }
    const total = checkpoint.loaded.reduce((sum, { bytes }) => sum + bytes, 0);
    let loaded = 0;
    await checkpoint.ready((bytes) => {
      loaded += bytes;
      onProgress?.({ loaded, total });
      signal?.throwIfAborted();
    });
    return network;
  } catch (error) {
    channel.abort(); // what is queued still need not be read
    await checkpoint.discard();
    signal?.throwIfAborted();
    throw error;
  } finally {
    signal?.removeEventListener('abort', abort);
  }
}
