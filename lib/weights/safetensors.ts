import { native } from '../native';
import { defaultDevice, deviceNumber, type DeviceName } from '../tensor/device';
import { wrap, type FloatDType, type QuantizedDType, type Tensor } from '../tensor/tensor';

/** A tensor of a safetensors file. */
export interface SafetensorsEntry {
  readonly name: string;
  /** As the file has it: 'F32', 'F16', 'BF16', … */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Its bytes, counted from `dataStart`. */
  readonly begin: number;
  readonly end: number;
}

/** How a weight is to lie in memory. */
export interface WeightLayout {
  /** The file holds its transpose. */
  transposed?: boolean;
  /** Packed for `linear`; else dense. */
  packed?: boolean;
  /** What it becomes; quantized it must be packed. Default 'float32'. */
  dtype?: FloatDType | QuantizedDType;
}

/**
 * A safetensors file, open for reading. Every rule of the format is enforced; weights are read piece by piece into
 * their place, in the background.
 *
 * @throws Error with code FILE_NOT_FOUND or READ_FAILED; RangeError with code INVALID_SAFETENSORS.
 */
export class SafetensorsFile implements Disposable {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: Readonly<Record<string, string>>;
  /** Where the data section begins in the file. */
  readonly dataStart: number;
  readonly #file: number;

  constructor(
    readonly path: string,
    /** Where its weights are put. */
    readonly device: DeviceName = defaultDevice(),
  ) {
    const { entries, metadata, dataStart } = native.readSafetensorsHeader(path);
    this.entries = new Map(entries.map((entry) => [entry.name, entry]));
    this.metadata = metadata;
    this.dataStart = dataStart;
    this.#file = native.openFile(path, deviceNumber('safetensors', 'device', device));
  }

  /** Queues the reading of an F32, F16 or BF16 tensor. */
  load(name: string, { transposed = false, packed = false, dtype = 'float32' }: WeightLayout = {}): Tensor {
    const entry = this.entries.get(name);
    if (!entry) throw new RangeError(`[safetensors] ${this.path} has no tensor ${JSON.stringify(name)}`);
    const offset = this.dataStart + entry.begin;
    return wrap(native.loadWeight(this.#file, offset, entry.dtype, entry.shape, transposed, packed, name, dtype));
  }

  /** Closes the file once what is queued has been read. */
  [Symbol.dispose](): void {
    native.closeFile(this.#file);
  }
}
