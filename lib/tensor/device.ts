import { native, type DeviceName } from '../native';
import { checkInteger, rangeError, typeError } from '../check';

export type { DeviceName };
/** Where tensors live and their ops run: 'cuda' is 'cuda:0'. */
export type Device = DeviceName | 'cuda';

/** For the library: a device by its native number, -1 for the CPU. */
export function deviceNumber(name: string, argument: string, device: unknown): number {
  if (typeof device !== 'string') throw typeError(name, argument, "'cpu' or 'cuda'", device);
  if (device === 'cpu') return -1;
  const index = /^cuda(?::(\d{1,3}))?$/.exec(device);
  if (!index) throw rangeError(name, argument, "'cpu', 'cuda' or 'cuda:n'", device);
  return Number(index[1] ?? 0);
}

function nameOf(number: number): DeviceName {
  return number < 0 ? 'cpu' : `cuda:${number}`;
}

let standard = deviceNumber('heddle', 'HEDDLE_DEVICE', process.env.HEDDLE_DEVICE || 'cpu');

/** Where tensors are made unless said otherwise: the CPU, or what HEDDLE_DEVICE names. */
export function defaultDevice(): DeviceName {
  return nameOf(standard);
}

/**
 * Changes it, for this thread.
 *
 * @throws RangeError if the device cannot be used.
 */
export function setDefaultDevice(device: Device): void {
  const number = deviceNumber('setDefaultDevice', 'device', device);
  native.memory(number); // opens it
  standard = number;
}

/** For the library: the number of a device that may be left open. */
export function deviceOrDefault(name: string, device: unknown): number {
  return device === undefined ? standard : deviceNumber(name, 'device', device);
}

/** Resolves when all queued work is done, on all devices. Rejects with the oldest failure that no read has reported. */
export async function sync(): Promise<void> {
  for (const result of await Promise.allSettled(native.sync())) {
    if (result.status === 'rejected') throw result.reason;
  }
}

export interface CpuInfo {
  readonly device: 'cpu';
  /** 'generic', 'avx2', 'avx512' or 'amx', on arm64 'generic' or 'neon'; HEDDLE_CPU forces one. */
  readonly instructionSet: string;
  /** Threads that an op may use; HEDDLE_NUM_THREADS or setNumThreads() change it. */
  readonly threads: number;
}

export interface CudaInfo {
  /** 'cuda' where there is none: then `reason` says why. */
  readonly device: Device;
  /** Why it cannot be used; undefined if it can. */
  readonly reason: string | undefined;
  readonly name?: string;
  /** Bytes. */
  readonly memory?: number;
  readonly computeCapability?: string;
}

export type DeviceInfo = CpuInfo | CudaInfo;

/**
 * The devices that tensors can live on, the CPU first, and CUDA devices that cannot be used with the reason. Looks for
 * CUDA at the first call, which takes some tenths of a second where there is a driver; `loadModel` does so in the
 * background.
 */
export function devices(): [CpuInfo, ...CudaInfo[]] {
  const cpu: CpuInfo = { device: 'cpu', instructionSet: native.instructionSet(), threads: native.numThreads() };
  const { reason, devices: found } = native.cudaDevices();
  if (reason !== '') return [cpu, { device: 'cuda', reason }];
  return [cpu, ...found.map((info, index) => ({ ...info, device: nameOf(index), reason: info.reason || undefined }))];
}

/**
 * For the library: 'auto' is the first CUDA device that can be used, else the CPU.
 *
 * @throws RangeError if the device cannot be used.
 */
export async function findDevice(name: string, device: unknown): Promise<DeviceName> {
  const wanted = device === 'auto' ? undefined : deviceNumber(name, 'device', device);
  if (wanted === -1) return 'cpu';
  await native.findDevices();
  const [, ...cuda] = devices();
  if (wanted === undefined) return (cuda.find((info) => info.reason === undefined)?.device ?? 'cpu') as DeviceName;
  const info = cuda[wanted];
  if (info?.reason === undefined && info) return nameOf(wanted);
  const reason = cuda[Math.min(wanted, cuda.length - 1)]?.reason ?? `there are ${cuda.length}`;
  throw new RangeError(`[${name}] device ${nameOf(wanted)} cannot be used: ${reason}`);
}

/** Threads that an op may use on the CPU, in this process. Results do not depend on it. */
export function setNumThreads(count: number): void {
  checkInteger('setNumThreads', 'count', count, 1, 1024);
  native.setNumThreads(count);
}

export interface MemoryInfo {
  /** Bytes of the tensors that are alive. */
  readonly live: number;
  /** Bytes taken from the allocator, scratch included. */
  readonly used: number;
  /** Bytes kept for reuse. */
  readonly cached: number;
  /** Largest `used` so far. */
  readonly peak: number;
  /** Operations that wait in the queue. */
  readonly pending: number;
}

/** Memory of this thread's tensors on a device (default: the default device), in bytes. */
export function memory(device?: Device): MemoryInfo {
  return native.memory(deviceOrDefault('memory', device));
}

/** Gives memory that is kept for reuse back to the system. */
export function trimMemory(device?: Device): void {
  native.trim(deviceOrDefault('trimMemory', device));
}

/**
 * Bytes that live tensors on a device may hold; what would pass it throws QueueFullError. `Infinity` lifts the limit.
 */
export function setMemoryLimit(bytes: number, device?: Device): void {
  if (bytes !== Infinity) checkInteger('setMemoryLimit', 'bytes', bytes, 0);
  native.setMemoryLimit(bytes === Infinity ? -1 : bytes, deviceOrDefault('setMemoryLimit', device));
}
