import { checkInteger, checkOptions, rangeError, show, typeError } from '../check';
import { packWeight } from '../ops/linear';
import { random } from '../ops/random';
import { defaultDevice, type DeviceName } from '../tensor/device';
import { scope } from '../tensor/scope';
import { shapeOf, tensor, Tensor, type CacheDType, type DType, type FloatDType } from '../tensor/tensor';
import { xavierUniform } from './init';

/** A parameter that a model has. */
export interface Parameter {
  /** 'layers.0.attention.qkv.weight' */
  readonly path: string;
  readonly shape: readonly number[];
  /** As it is held. */
  readonly dtype: DType;
}

/**
 * Where the layers get their parameters, by path ('layers.0.attention.qkv.weight'). What a checkpoint calls them, and
 * how it stores them, is the business of lib/models.
 */
export interface ParameterSource {
  /** Where it puts them. */
  readonly device: DeviceName;
  /** Of activations, where the weights' own dtype does not say. */
  readonly dtype?: FloatDType | undefined;
  /** Of the keys and values that a model keeps. Default: that of activations. */
  readonly cacheDtype?: CacheDType | undefined;
  /** A weight of shape [N, K], packed for `linear`. */
  matrix(path: string, shape: readonly [number, number]): Tensor;
  /** Any other parameter, dense. */
  dense(path: string, shape: readonly number[]): Tensor;
}

/** For layers: the two arguments that say where their parameters are. */
export function checkSource(name: string, source: unknown, path: unknown): void {
  const { dense, matrix } = (source ?? {}) as Partial<ParameterSource>;
  if (typeof dense !== 'function' || typeof matrix !== 'function') {
    throw typeError(name, 'source', 'what parameters() or initialParameters() gives', source);
  }
  if (typeof path !== 'string') throw typeError(name, 'path', 'a string', path);
}

/** A source that keeps account of what was taken from it. */
export class ParameterLog implements ParameterSource {
  readonly taken: Parameter[] = [];

  constructor(private readonly source: ParameterSource) {}

  get device(): DeviceName {
    return this.source.device;
  }
  get dtype(): FloatDType | undefined {
    return this.source.dtype;
  }
  get cacheDtype(): CacheDType | undefined {
    return this.source.cacheDtype;
  }

  matrix(path: string, shape: readonly [number, number]): Tensor {
    return this.#take(path, shape, this.source.matrix(path, shape));
  }

  dense(path: string, shape: readonly number[]): Tensor {
    return this.#take(path, shape, this.source.dense(path, shape));
  }

  #take(path: string, shape: readonly number[], parameter: Tensor): Tensor {
    this.taken.push({ path, shape, dtype: parameter.dtype });
    return parameter;
  }
}

/** Makes a parameter of a shape. It runs in a scope: what it makes lives as long as the layer. */
export type Initializer = (path: string, shape: readonly number[]) => Tensor;

/**
 * A source of one's own tensors, by path, or of tensors that a function makes. Layers take copies or views: the tensors
 * given here stay their owner's.
 *
 *     new nn.MultiHeadAttention(nn.parameters({ in_proj_weight, … }), '', { width: 24, numHeads: 3 })
 *
 * @param given tensors of a float dtype by path: 'layers.0.linear1.weight'; or an `Initializer`.
 * @param options.device where layers have them. Default: that of the first tensor, else see setDefaultDevice.
 * @throws TypeError for what is no tensor; a layer that takes a parameter throws RangeError if there is none of that
 *   path, or if it has another shape.
 */
export function parameters(
  given: Readonly<Record<string, Tensor>> | Initializer,
  options: { device?: DeviceName | undefined } = {},
): ParameterSource {
  const name = 'parameters';
  checkOptions(name, options, ['device']);
  if (typeof given !== 'function' && (typeof given !== 'object' || given === null || given instanceof Tensor)) {
    throw typeError(name, 'given', 'tensors by path or a function', given);
  }
  const tensors = new Map(typeof given === 'function' ? [] : Object.entries(given));
  for (const [path, one] of tensors) shapeOf(name, path, one);
  const find: Initializer = (path) => {
    const found = tensors.get(path);
    if (found) return found;
    const known = [...tensors.keys()].slice(0, 8).map(show).join(', ');
    throw new RangeError(`[${name}] there is no ${show(path)} among ${tensors.size} tensors: ${known}`);
  };
  const make = typeof given === 'function' ? given : find;
  const { device = tensors.values().next().value?.device ?? defaultDevice() } = options;
  const dense = (path: string, shape: readonly number[]): Tensor =>
    scope(() => {
      const found = make(path, shape);
      const sizes = shapeOf(name, path, found);
      if (sizes.join() !== shape.join()) throw rangeError(name, path, `of shape [${shape.join(', ')}]`, sizes);
      return found.to(device); // a view, if it is there already: the layer disposes of no more than that
    });
  return { device, dense, matrix: (path, shape) => scope(() => packWeight(dense(path, shape))) };
}

/**
 * An initializer for layers that start from nothing: weights of two axes by `init.xavierUniform`, each from a seed of its
 * own, weights of one axis (norms) 1, biases 0; other parameters normal with a deviation of 1 / √width.
 */
export function initialParameters(
  options: { seed?: number | undefined; dtype?: FloatDType | undefined; device?: DeviceName | undefined } = {},
): ParameterSource {
  checkOptions('initialParameters', options, ['seed', 'dtype', 'device']);
  const { seed = 0, dtype, device } = options;
  checkInteger('initialParameters', 'seed', seed, 0, 2 ** 32);
  let count = 0;
  const make: Initializer = (path, shape) => {
    const size = shape.reduce((product, one) => product * one, 1);
    if (path.endsWith('bias')) return tensor(new Float32Array(size), shape, { dtype, device });
    if (shape.length === 1) return tensor(new Float32Array(size).fill(1), shape, { dtype, device });
    // Seeds of neighbours must not meet.
    const own = { seed: seed * 2 ** 20 + count++, dtype, device };
    return shape.length === 2
      ? xavierUniform(shape, own)
      : random.normal(shape, { ...own, std: shape.at(-1)! ** -0.5 });
  };
  return parameters(make, { device });
}

/** The path of a part: that of the whole may be '', for a layer that stands alone. */
export function join(path: string, part: string): string {
  return path === '' ? part : `${path}.${part}`;
}
