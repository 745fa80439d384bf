import { native } from '../native';
import { checkInteger } from '../check';

/** Resolves when all queued work is done. Rejects with the oldest failure that no read has reported. */
export function sync(): Promise<void> {
  return native.sync();
}

export interface DeviceInfo {
  readonly device: 'cpu';
  /** 'generic', 'avx2', 'avx512' or 'amx'; HEDDLE_CPU forces one. */
  readonly instructionSet: string;
  /** Threads that an op may use; HEDDLE_NUM_THREADS or setNumThreads() change it. */
  readonly threads: number;
}

/** The devices that tensors can live on. */
export function devices(): DeviceInfo[] {
  return [{ device: 'cpu', instructionSet: native.instructionSet(), threads: native.numThreads() }];
}

/** Threads that an op may use, in this process. Results do not depend on it. */
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

/** Memory of this isolate's tensors, in bytes. */
export function memory(): MemoryInfo {
  return native.memory();
}

/** Gives memory that is kept for reuse back to the system. */
export function trimMemory(): void {
  native.trim();
}

/**
 * Bytes that live tensors may hold; what would pass it throws QueueFullError. `Infinity` lifts the limit.
 */
export function setMemoryLimit(bytes: number): void {
  if (bytes !== Infinity) checkInteger('setMemoryLimit', 'bytes', bytes, 0);
  native.setMemoryLimit(bytes === Infinity ? -1 : bytes);
}
