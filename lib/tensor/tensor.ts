import { types } from 'node:util';
import { native, type CacheDType, type DType, type FloatDType, type QuantizedDType, type TypedArray } from '../native';
import { checkInteger, checkOptions, rangeError, typeError } from '../check';
import { deviceNumber, deviceOrDefault, type Device, type DeviceName } from './device';
import { enter, onEscape } from './scope';

export type { CacheDType, DType, FloatDType, QuantizedDType, TypedArray };

export const FLOAT_DTYPES: readonly FloatDType[] = ['float32', 'float16', 'bfloat16'];
export const CACHE_DTYPES: readonly CacheDType[] = [...FLOAT_DTYPES, 'int8'];
/** Of tensors whose numbers can be read. */
export const DTYPES: readonly DType[] = [...FLOAT_DTYPES, 'int32', 'bool'];
export const QUANTIZED_DTYPES: readonly QuantizedDType[] = ['int8', 'int4'];
export const isQuantized = (dtype: DType): dtype is QuantizedDType =>
  (QUANTIZED_DTYPES as readonly DType[]).includes(dtype);

const MAX_RANK = 6;
const key = Symbol('tensor');
// The net under forgotten tensors; dispose(), `using` and scope() are the way.
const forgotten = new FinalizationRegistry<number>((handle) => native.disposeTensor(handle));

let handleOf: (tensor: Tensor) => number;

/**
 * A typed array of some shape on a device. Immutable: ops make new ones, and views (reshape, transpose, slice) share
 * memory. What a tensor holds is computed in the background; `data()` waits for it.
 */
export class Tensor implements Disposable {
  readonly #handle: number;
  #facts?: ReturnType<typeof native.describe>;

  static {
    handleOf = (tensor) => tensor.#handle;
  }

  /** Not for users: see `tensor()`. */
  constructor(secret: typeof key, handle: number) {
    if (secret !== key) throw new TypeError('[Tensor] use tensor(values, shape) to make a tensor');
    this.#handle = handle;
    enter(this);
  }

  get #described(): ReturnType<typeof native.describe> {
    return (this.#facts ??= native.describe(this.#handle));
  }

  /** 'int8' and 'int4' are quantized weights: packed, so that their data cannot be read. */
  get dtype(): DType {
    return this.#described.dtype;
  }
  get shape(): readonly number[] {
    return this.#described.shape;
  }
  get device(): DeviceName {
    return this.#described.device;
  }
  /** Whether this is a weight packed for `linear`, which has no data to read. */
  get packed(): boolean {
    return this.#described.packed;
  }
  /** Number of elements. */
  get size(): number {
    return this.shape.reduce((product, size) => product * size, 1);
  }
  get disposed(): boolean {
    return !native.isAlive(this.#handle);
  }

  /**
   * The elements, row-major, at this point of the queue: in a fresh array, or in `into`, which must have their type and
   * number. All float dtypes come in a Float32Array, int32 in an Int32Array, bool in a Uint8Array. Rejects with the
   * reason if the tensor could not be computed.
   */
  async data<T extends TypedArray = Float32Array>(into?: T): Promise<T> {
    if (into === undefined) return (await native.read(this.#handle)) as T;
    if (dtypeOf(into) === undefined) {
      throw typeError('Tensor.data', 'into', 'a Float32Array, Int32Array or Uint8Array', into);
    }
    if (types.isSharedArrayBuffer(into.buffer)) {
      throw typeError('Tensor.data', 'into', 'an array over an ArrayBuffer', into.buffer);
    }
    return (await native.readInto(this.#handle, into)) as T;
  }

  /** The same as it is stored, dense and row-major: float16 and bfloat16 two bytes an element, little-endian. */
  async bytes(): Promise<Uint8Array> {
    return native.readBytes(this.#handle);
  }

  /** Resolves when the tensor has its value; rejects with the reason if it could not be computed. */
  async ready(): Promise<void> {
    return native.ready(this.#handle);
  }

  /** The same elements in another shape; one size may be -1, for what is left. A view where possible, else a copy. */
  reshape(shape: readonly number[]): Tensor {
    if (!Array.isArray(shape)) throw typeError('Tensor.reshape', 'shape', 'an array of sizes', shape);
    shapeOf('Tensor.reshape', 'this', this);
    const open = shape.indexOf(-1);
    if (open < 0) return wrap(native.reshape(this.#handle, checkShape('Tensor.reshape', shape)));
    const sizes = checkShape('Tensor.reshape', shape.toSpliced(open, 1));
    const known = sizes.reduce((product, size) => product * size, 1);
    if (known === 0 || this.size % known !== 0) {
      throw rangeError('Tensor.reshape', 'shape', `a shape of ${this.size} elements`, shape);
    }
    return wrap(native.reshape(this.#handle, sizes.toSpliced(open, 0, this.size / known)));
  }

  /**
   * The same value on another device: a copy, queued on both; where it is there already, a view.
   *
   * @throws RangeError if the device cannot be used.
   */
  to(device: Device): Tensor {
    return wrap(native.toDevice(this.#handle, deviceNumber('Tensor.to', 'device', device)));
  }

  /** A view with axes `a` and `b` exchanged; negative axes count from the end. */
  transpose(a = -2, b = -1): Tensor {
    checkInteger('Tensor.transpose', 'a', a, -MAX_RANK, MAX_RANK);
    checkInteger('Tensor.transpose', 'b', b, -MAX_RANK, MAX_RANK);
    return wrap(native.transpose(this.#handle, a, b));
  }

  /** A view of the elements `begin` to `end` (excluded) of an axis. */
  slice(axis: number, begin: number, end: number): Tensor {
    checkInteger('Tensor.slice', 'axis', axis, -MAX_RANK, MAX_RANK);
    checkInteger('Tensor.slice', 'begin', begin, 0);
    checkInteger('Tensor.slice', 'end', end, 0);
    return wrap(native.slice(this.#handle, axis, begin, end));
  }

  /** Shown by console.log. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.disposed ? 'Tensor (disposed)' : `Tensor ${this.dtype} [${this.shape.join(', ')}] on ${this.device}`;
  }

  /** Gives the memory back once what is queued has used it. Doing it twice is harmless. */
  dispose(): void {
    if (native.disposeTensor(this.#handle)) forgotten.unregister(this);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
}

// What a scope disposes of needs no net, and registering costs: a decoding step makes a hundred tensors.
onEscape((tensor) => {
  forgotten.register(tensor, handleOf(tensor), tensor);
});

/** For the library: a tensor for a native handle. */
export function wrap(handle: number): Tensor {
  return new Tensor(key, handle);
}

/** For the library: the native handle of an argument, which must be a tensor. */
export function unwrap(name: string, argument: string, value: unknown): number {
  if (!(value instanceof Tensor)) throw typeError(name, argument, 'a Tensor', value);
  return handleOf(value);
}

/** The same, 0 where absent. */
export function unwrapOptional(name: string, argument: string, value: unknown): number {
  return value === undefined ? 0 : unwrap(name, argument, value);
}

/** For the library: the shape of an argument, which must be a tensor that is not disposed of. */
export function shapeOf(name: string, argument: string, value: unknown): readonly number[] {
  unwrap(name, argument, value);
  if ((value as Tensor).disposed) throw new TypeError(`[${name}] ${argument} is a disposed tensor`);
  return (value as Tensor).shape;
}

const isArray: (value: unknown) => boolean = Array.isArray; // Array.isArray itself would make `shape` any[]

/** For the library: sizes that a tensor may have, in an array of our own: a user's may be a proxy, or have getters. */
export function checkShape(name: string, shape: readonly number[]): readonly number[] {
  if (!isArray(shape)) throw typeError(name, 'shape', 'an array of sizes', shape);
  if (shape.length > MAX_RANK) throw rangeError(name, 'shape', `an array of at most ${MAX_RANK} sizes`, shape);
  const sizes = Array.from(shape);
  for (const [axis, size] of sizes.entries()) checkInteger(name, `shape[${axis}]`, size, 0, 2 ** 40);
  return sizes;
}

/**
 * A tensor of given values, copied before this returns.
 *
 * @param values Float32Array, Int32Array or Uint8Array (bool: 0 or 1), which give the dtype; or plain numbers.
 * @param shape sizes whose product is the number of values; default: one axis.
 * @param options.dtype of plain numbers, default 'float32'; or 'float16' or 'bfloat16', to which the numbers of a
 *   Float32Array are rounded, too.
 * @param options.device where it is made; default: see setDefaultDevice.
 * @throws TypeError, RangeError for what does not fit; QueueFullError past the memory limit.
 */
export function tensor(
  values: TypedArray | readonly number[],
  shape?: readonly number[],
  options?: { dtype?: DType | undefined; device?: Device | undefined },
): Tensor {
  checkOptions('tensor', options, ['dtype', 'device']);
  const device = deviceOrDefault('tensor', options?.device);
  const [array, dtype] = toTypedArray(values, options?.dtype);
  const sizes = checkShape('tensor', shape ?? [array.length]);
  const count = sizes.reduce((product, size) => product * size, 1);
  if (count !== array.length) {
    throw new RangeError(`[tensor] shape [${sizes.join(', ')}] has ${count} elements but got ${array.length} values`);
  }
  return wrap(native.createTensor(array, sizes, dtype, device));
}

const isFloat = (dtype: DType): boolean => (FLOAT_DTYPES as readonly DType[]).includes(dtype);

/** Of what a typed array holds; undefined for other values. */
function dtypeOf(values: unknown): DType | undefined {
  // Not instanceof: arrays may come from another realm.
  if (types.isFloat32Array(values)) return 'float32';
  if (types.isInt32Array(values)) return 'int32';
  return types.isUint8Array(values) ? 'bool' : undefined;
}

/** Values as an array, and the dtype that they are to have. */
function toTypedArray(values: unknown, dtype: unknown): [TypedArray, DType] {
  if (dtype !== undefined && !(DTYPES as readonly unknown[]).includes(dtype)) {
    throw typeError('tensor', 'dtype', `one of ${DTYPES.join(', ')}`, dtype);
  }
  const wanted = dtype as DType | undefined;
  const own = dtypeOf(values);
  if (own !== undefined) {
    const array = values as TypedArray;
    const fits = wanted === undefined || wanted === own || (own === 'float32' && isFloat(wanted));
    if (!fits) throw typeError('tensor', 'values', `of dtype ${wanted}`, values);
    if (own === 'bool' && array.some((value) => value > 1)) throw rangeError('tensor', 'values', '0 or 1', values);
    // What a SharedArrayBuffer holds is copied first.
    return [types.isSharedArrayBuffer(array.buffer) ? array.slice() : array, wanted ?? own];
  }
  if (!Array.isArray(values)) throw typeError('tensor', 'values', 'a Float32Array, an Int32Array or an array', values);
  for (const [index, value] of (values as unknown[]).entries()) {
    if (typeof value !== 'number') throw typeError('tensor', `values[${index}]`, 'a number', value);
    if (dtype === 'bool' && value !== 0 && value !== 1) throw rangeError('tensor', `values[${index}]`, '0 or 1', value);
    if (dtype === 'int32' && value !== (value | 0)) {
      throw rangeError('tensor', `values[${index}]`, 'a whole number of 32 bits', value);
    }
  }
  if (wanted === 'bool') return [Uint8Array.from(values as number[]), wanted];
  if (wanted === 'int32') return [Int32Array.from(values as number[]), wanted];
  return [Float32Array.from(values as number[]), wanted ?? 'float32'];
}
