import { memory, type DeviceName } from './device';
import { tensor } from './tensor';

/** Ops that may wait already when a generation or a load begins; many begin at once in a server. */
const BUSY = 1024;

/** Whether so much waits that what takes hundreds of ops should not begin now. */
export function isBusy(device: DeviceName): boolean {
  return memory(device).pending > BUSY;
}

/**
 * Resolves, never at once, when what is queued now has run if that is much. Others may have waited too, so look again:
 *
 *     do await roomInQueue(device);
 *     while (isBusy(device));
 */
export async function roomInQueue(device: DeviceName): Promise<void> {
  await Promise.resolve();
  if (!isBusy(device)) return;
  using marker = tensor(new Int32Array(0), [0], { device });
  await marker.ready();
}
